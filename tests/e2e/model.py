"""What a key may hold, as far as its only writer can know.

A write that was acknowledged happened; one that was answered by an error, or by nothing, may have happened and may still
happen at any later time. Every reply is held against what that leaves possible: anything else is a reply of another
request, a lost write, a stale read or a write that ran twice. Each method that takes a reply returns None, or what is
wrong with it.

A lossy key belongs to a shard whose primary was killed: asynchronous replication may have lost any acknowledged write of
it. It may still hold only what was once sent to it.
"""


class Register:
    """A string key under SET, MSET and DEL. Every value is written once and names its key."""

    def __init__(self, name, slot):
        self.name, self.slot, self.lossy = name, slot, False
        self._prefix = name + b"#"
        self._sent = 0
        self._now = None      # the value of the last acknowledged write; None: no key
        self._late = set()    # values of writes that may happen any time

    read_command = b"GET"

    def next_value(self):
        self._sent += 1
        return self._prefix + b"%d" % self._sent

    def wrote(self, value):
        self._now = value

    def may_write(self, value):
        self._late.add(value)

    def read(self, value):
        if value == self._now or value in self._late or (self.lossy and (value is None or self._was_sent(value))):
            return None
        if value is not None and not value.startswith(self._prefix):
            return "%r holds %r, which was never written to it" % (self.name, value[:80])
        return "%r holds %r; possible: %r" % (self.name, value, [self._now, *self._late][:8])

    def _was_sent(self, value):
        number = value[len(self._prefix):]
        return value.startswith(self._prefix) and number.isdigit() and 1 <= int(number) <= self._sent

    def may_exist(self):
        """(can the key be missing, can it be there), for the counts of DEL and EXISTS."""
        values = {self._now, *self._late}
        if self.lossy:
            return True, self._sent > 0
        return None in values, values != {None}


class Counter:
    """A key under INCR."""

    def __init__(self, name, slot):
        self.name, self.slot, self.lossy = name, slot, False
        self._low = 0   # increments that certainly happened
        self._high = 0  # those that can have happened

    read_command = b"GET"

    def incremented(self, result):
        wrong = self._check(result, 1)
        self._high += 1
        if wrong is None and not self.lossy:
            self._low = result
        return wrong

    def may_increment(self):
        self._high += 1

    def read(self, value):
        if value is not None and not value.isdigit():
            return "the counter %r holds %r" % (self.name, value[:80])
        number = int(value or 0)
        wrong = self._check(number, 0)
        if wrong is None and not self.lossy:
            self._low = number
        return wrong

    def _check(self, number, added):
        low = 0 if self.lossy else self._low
        if isinstance(number, int) and low + added <= number <= self._high + added:
            return None
        return "the counter %r is %r; possible: %d to %d" % (self.name, number, low + added, self._high + added)


class Sequence:
    """A list under RPUSH. Every element is pushed once."""

    def __init__(self, name, slot):
        self.name, self.slot, self.lossy = name, slot, False
        self._sure = []      # acknowledged elements, in their order
        self._late = set()
        self._sent = 0

    read_command = b"LRANGE"

    def next_element(self):
        self._sent += 1
        return self.name + b"#%d" % self._sent

    def pushed(self, element, length):
        self._sure.append(element)
        if not isinstance(length, int) or length > len(self._sure) + len(self._late):
            return "the list %r grew to %r; at most %d were pushed" % (self.name, length, len(self._sure) + len(self._late))
        if length < len(self._sure) and not self.lossy:
            return "the list %r grew to %r; %d were acknowledged" % (self.name, length, len(self._sure))
        return None

    def may_push(self, element):
        self._late.add(element)

    def read(self, elements):
        known = set(self._sure) | self._late
        strange = [element for element in elements if element not in known]
        if strange:
            return "the list %r holds %r, which was never pushed to it" % (self.name, strange[0][:80])
        if len(set(elements)) < len(elements):
            return "the list %r holds an element twice: %r" % (self.name, elements)
        sure = [element for element in elements if element not in self._late]
        if sure == self._sure or (self.lossy and sure == [element for element in self._sure if element in set(sure)]):
            return None
        return "the list %r holds %r; acknowledged: %r" % (self.name, elements, self._sure)

    def is_long(self):
        return self._sent >= 40
