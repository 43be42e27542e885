"""Commands of every data type: each reply, in both protocols, is byte for byte what a plain server answers."""
import unittest

from fixture import TestCase, reference_server, shared_proxy
from raw import RawClient
from server import HOST

# One program per data type. All keys of a program share a slot ("{t}"), so that multi-key commands are allowed; replies
# must not depend on time or chance.
PROGRAMS = {
    "string": """
        SET {t}a hello
        GET {t}a
        SET {t}a world GET
        SET {t}a x NX
        SET {t}b 1 EX 100
        SET {t}b 2 KEEPTTL XX
        TTL {t}none
        PERSIST {t}b
        PERSIST {t}b
        EXPIRE {t}b 100 GT
        EXPIRE {t}b 100
        PEXPIREAT {t}b 9999999999999
        PEXPIRETIME {t}b
        EXPIRETIME {t}b
        APPEND {t}a !!
        STRLEN {t}a
        GETRANGE {t}a 1 3
        SUBSTR {t}a 1 3
        SETRANGE {t}a 2 XYZ
        GETSET {t}a new
        GETDEL {t}a
        GETEX {t}b PERSIST
        INCR {t}n
        INCRBY {t}n 41
        DECR {t}n
        DECRBY {t}n 10
        INCRBYFLOAT {t}n 1.5
        INCR {t}n
        SETNX {t}a v
        SETNX {t}a v
        SETEX {t}e 100 v
        PSETEX {t}e 100000 v
        SETEX {t}e 0 v
        MSET {t}m1 1 {t}m2 2
        MSETNX {t}m1 1 {t}m3 3
        MSETNX {t}m4 4 {t}m5 5
        MGET {t}m1 {t}m2 {t}m3 {t}m4 {t}none
        LCS {t}a {t}e
        LCS {t}a {t}e IDX
        TYPE {t}a
        TYPE {t}none
        OBJECT ENCODING {t}n
        OBJECT REFCOUNT {t}a
        EXISTS {t}a {t}b {t}none
        RENAME {t}a {t}z
        RENAME {t}none {t}z
        RENAMENX {t}z {t}m1
        COPY {t}z {t}copy
        COPY {t}z {t}copy
        DUMP {t}z
        RESTORE {t}r 0 garbage
        DEL {t}z {t}copy {t}none
        UNLINK {t}m1 {t}m2
        TOUCH {t}m1 {t}m4
        LPUSH {t}m4 x
        GET {t}a b c
        SET {t}a
        SET {t}a b NX XX
    """,
    "bit": """
        SETBIT {t}b 7 1
        GETBIT {t}b 7
        GETBIT {t}b 100
        SET {t}c foobar
        BITCOUNT {t}c
        BITCOUNT {t}c 1 1
        BITCOUNT {t}c 5 30 BIT
        BITPOS {t}c 1
        BITPOS {t}c 0 2
        BITOP AND {t}d {t}b {t}c
        BITOP NOT {t}d {t}c
        GET {t}d
        BITFIELD {t}f SET u8 0 200 INCRBY u8 0 100 GET u4 0
        BITFIELD {t}f OVERFLOW FAIL INCRBY u8 0 250
        BITFIELD_RO {t}f GET u8 0
        SETBIT {t}b -1 1
    """,
    "list": """
        RPUSH {t}l a b c d
        LPUSH {t}l z
        LPUSHX {t}none x
        RPUSHX {t}l e
        LLEN {t}l
        LRANGE {t}l 0 -1
        LINDEX {t}l 1
        LINDEX {t}l 99
        LSET {t}l 0 y
        LSET {t}l 99 y
        LINSERT {t}l BEFORE b between
        LPOS {t}l c
        LPOS {t}l c COUNT 0
        LPOS {t}l none
        LREM {t}l 1 between
        LTRIM {t}l 0 3
        LPOP {t}l
        LPOP {t}l 2
        LPOP {t}none
        LPOP {t}none 2
        RPOP {t}l
        RPUSH {t}l 1 2 3
        LMOVE {t}l {t}k LEFT RIGHT
        RPOPLPUSH {t}l {t}k
        LMPOP 2 {t}none {t}k LEFT COUNT 5
        LMPOP 1 {t}none LEFT
        LRANGE {t}none 0 -1
        RPUSH {t}s 3 1 2
        SORT {t}s
        SORT {t}s DESC LIMIT 0 2
        SORT {t}s ALPHA STORE {t}sorted
        SORT_RO {t}s
        GET {t}s
    """,
    "hash": """
        HSET {t}h f1 v1 f2 v2 f3 3
        HSET {t}h f1
        HGET {t}h f1
        HGET {t}h none
        HGET {t}none f
        HMSET {t}h f4 v4
        HMGET {t}h f1 none f4
        HGETALL {t}h
        HGETALL {t}none
        HKEYS {t}h
        HVALS {t}h
        HLEN {t}h
        HSTRLEN {t}h f1
        HEXISTS {t}h f1
        HSETNX {t}h f1 x
        HINCRBY {t}h f3 4
        HINCRBY {t}h f1 4
        HINCRBYFLOAT {t}h f3 0.5
        HDEL {t}h f1 none
        HSCAN {t}h 0
        HRANDFIELD {t}none
        HRANDFIELD {t}none 2 WITHVALUES
        HSET {t}one f v
        HRANDFIELD {t}one 3 WITHVALUES
    """,
    "set": """
        SADD {t}s 1 2 3 4
        SADD {t}s 4
        SCARD {t}s
        SMEMBERS {t}s
        SMEMBERS {t}none
        SISMEMBER {t}s 1
        SMISMEMBER {t}s 1 9
        SREM {t}s 4 9
        SADD {t}r 2 3 5
        SINTER {t}s {t}r
        SINTERCARD 2 {t}s {t}r LIMIT 1
        SUNION {t}s {t}r
        SDIFF {t}s {t}r
        SINTERSTORE {t}x {t}s {t}r
        SUNIONSTORE {t}x {t}s {t}r
        SDIFFSTORE {t}x {t}s {t}r
        SMOVE {t}s {t}r 1
        SMOVE {t}s {t}r 77
        SSCAN {t}s 0
        SADD {t}p only
        SRANDMEMBER {t}p
        SRANDMEMBER {t}p 3
        SPOP {t}p
        SPOP {t}p
        SPOP {t}p 2
        SRANDMEMBER {t}none
    """,
    "sorted set": """
        ZADD {t}z 1 a 2 b 3.5 c
        ZADD {t}z NX CH 5 a
        ZADD {t}z XX INCR 5 a
        ZADD {t}z XX INCR 5 none
        ZADD {t}z x a
        ZINCRBY {t}z 1.25 b
        ZSCORE {t}z b
        ZSCORE {t}z none
        ZMSCORE {t}z a none
        ZCARD {t}z
        ZCOUNT {t}z -inf (4
        ZRANK {t}z a
        ZREVRANK {t}z a
        ZRANK {t}z none
        ZRANGE {t}z 0 -1
        ZRANGE {t}z 0 -1 WITHSCORES
        ZRANGE {t}z 1 10 BYSCORE LIMIT 0 2
        ZREVRANGE {t}z 0 -1 WITHSCORES
        ZRANGEBYSCORE {t}z -inf +inf WITHSCORES
        ZREVRANGEBYSCORE {t}z +inf -inf
        ZADD {t}lex 0 a 0 b 0 c
        ZRANGEBYLEX {t}lex [a (c
        ZREVRANGEBYLEX {t}lex + -
        ZLEXCOUNT {t}lex - +
        ZRANGESTORE {t}copy {t}z 0 1
        ZADD {t}y 10 a 20 d
        ZUNION 2 {t}z {t}y WITHSCORES
        ZINTER 2 {t}z {t}y WEIGHTS 2 3 WITHSCORES
        ZINTERCARD 2 {t}z {t}y
        ZDIFF 2 {t}z {t}y WITHSCORES
        ZUNIONSTORE {t}u 2 {t}z {t}y AGGREGATE MAX
        ZINTERSTORE {t}u 2 {t}z {t}y
        ZDIFFSTORE {t}u 2 {t}z {t}y
        ZPOPMIN {t}z
        ZPOPMAX {t}z 2
        ZPOPMIN {t}none
        ZMPOP 2 {t}none {t}y MAX COUNT 2
        ZMPOP 1 {t}none MIN
        ZADD {t}q +inf a -inf b
        ZSCORE {t}q a
        ZRANGE {t}q 0 -1 WITHSCORES
        ZSCAN {t}q 0
        ZREM {t}lex a none
        ZREMRANGEBYRANK {t}lex 0 0
        ZREMRANGEBYSCORE {t}lex 0 0
        ZREMRANGEBYLEX {t}lex - +
        ZRANDMEMBER {t}none
        ZADD {t}one 1 m
        ZRANDMEMBER {t}one 2 WITHSCORES
    """,
    "geo": """
        GEOADD {t}g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania
        GEOADD {t}g 200 100 nowhere
        GEOPOS {t}g Palermo none
        GEODIST {t}g Palermo Catania km
        GEODIST {t}g Palermo none
        GEOHASH {t}g Palermo none
        GEOSEARCH {t}g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH
        GEOSEARCHSTORE {t}g2 {t}g FROMMEMBER Palermo BYBOX 400 400 km
        GEORADIUS {t}g 15 37 200 km ASC
        GEORADIUS {t}g 15 37 200 km STORE {t}g3
        GEORADIUSBYMEMBER_RO {t}g Palermo 200 km ASC
        ZCARD {t}g2
    """,
    "hyperloglog": """
        PFADD {t}p a b c
        PFADD {t}p a
        PFADD {t}q c d
        PFCOUNT {t}p
        PFCOUNT {t}p {t}q
        PFMERGE {t}m {t}p {t}q
        PFCOUNT {t}m
        SET {t}s x
        PFCOUNT {t}s
    """,
    "stream": """
        XADD {t}x 1-1 f v
        XADD {t}x 1-2 f v g w
        XADD {t}x 1-1 f v
        XADD {t}x MAXLEN = 5 2-0 f v
        XADD {t}none NOMKSTREAM 1-1 f v
        XLEN {t}x
        XRANGE {t}x - +
        XREVRANGE {t}x + - COUNT 1
        XREAD COUNT 1 STREAMS {t}x 0
        XREAD STREAMS {t}x {t}none 1-1 0
        XREAD STREAMS {t}none 0
        XGROUP CREATE {t}x grp 0
        XGROUP CREATE {t}x grp 0
        XGROUP CREATECONSUMER {t}x grp bob
        XREADGROUP GROUP grp alice COUNT 2 STREAMS {t}x >
        XACK {t}x grp 1-1 9-9
        XPENDING {t}x grp
        XCLAIM {t}x grp bob 0 1-2 JUSTID
        XAUTOCLAIM {t}x grp bob 0 0 COUNT 1 JUSTID
        XGROUP DELCONSUMER {t}x grp alice
        XGROUP SETID {t}x grp $
        XINFO STREAM {t}x
        XINFO GROUPS {t}none
        XDEL {t}x 1-1
        XTRIM {t}x MAXLEN 1
        XSETID {t}x 9-9
        XGROUP DESTROY {t}x grp
    """,
    "script": """
        EVAL "return {KEYS[1],ARGV[1],#KEYS}" 2 {t}a {t}b x
        EVAL "redis.call('set',KEYS[1],ARGV[1]) return redis.call('get',KEYS[1])" 1 {t}a 42
        EVAL "return redis.call('hgetall',KEYS[1])" 1 {t}none
        EVAL "return redis.call('get','{t}a')" 1 {t}a
        EVAL_RO "return redis.call('get',KEYS[1])" 1 {t}a
        EVAL_RO "return redis.call('set',KEYS[1],1)" 1 {t}a
        EVAL "return redis.error_reply('MY error')" 1 {t}a
        EVAL "return redis.status_reply('FINE')" 1 {t}a
        EVAL "redis.setresp(3) return redis.call('hgetall',KEYS[1])" 1 {t}h
        EVAL "return {1,'two',{3,false}}" 0
        EVAL "return 1" -1
        EVAL "return 1" 2 {t}a
        EVAL "not lua" 1 {t}a
        EVALSHA ffffffffffffffffffffffffffffffffffffffff 1 {t}a
    """,
    "errors": """
        NOSUCHCOMMAND
        NOSUCHCOMMAND a b c
        nosuchcommand {t}a
        GET
        GET a b
        SET a
        DEL
        MGET
        MSET {t}a
        MSET {t}a 1 {t}b
        MSETNX {t}a
        EXISTS
        UNLINK
        TOUCH
        HSET {t}a f
        INCR a b
        PING a b
        ECHO
        EXPIRE {t}a notanumber
        OBJECT
        OBJECT NOSUCH {t}a
        XGROUP NOSUCH {t}a
        ZUNIONSTORE {t}a 2 {t}b
        EVAL
        SET {t}str x
        LPUSH {t}str x
        HGETALL {t}str
        ZADD {t}str 1 a
        SADD {t}str 1
        XADD {t}str * a b
        SCRIPT NOSUCH
    """,
}


def parse(program, tag):
    """The requests of a program: words, double quotes around what has spaces."""
    requests = []
    for line in program.strip().splitlines():
        pieces = line.strip().split('"')
        words = []
        for index, piece in enumerate(pieces):
            words += [piece] if index % 2 else piece.split()
        requests.append([word.replace("{t}", "{%s}" % tag) for word in words])
    return requests


class EveryType(TestCase):

    def compare(self, name, protocol):
        requests = parse(PROGRAMS[name], "%s-%d" % (name.replace(" ", "-"), protocol))
        reference = RawClient((HOST, reference_server().port))
        self.addCleanup(reference.close)
        client = self.client(shared_proxy())
        for each in (client, reference):
            each.call("HELLO", protocol)
        for request in requests:
            with self.subTest(request=" ".join(request), protocol=protocol):
                self.assertEqual(client.call(*request), reference.call(*request))


def _add_tests():
    for name in PROGRAMS:
        for protocol in (2, 3):
            def test(self, name=name, protocol=protocol):
                self.compare(name, protocol)
            setattr(EveryType, "test_%s_resp%d" % (name.replace(" ", "_"), protocol), test)


_add_tests()


class Dump(TestCase):

    def test_dump_and_restore(self):
        client = self.client(shared_proxy())
        client.call("RPUSH", "dump:list", *range(100))
        dumped = client.ask("DUMP", "dump:list")
        self.assertEqual(client.call("RESTORE", "dump:other", 0, dumped, "REPLACE"), b"+OK\r\n")
        self.assertEqual(client.ask("LRANGE", "dump:other", 0, -1), [b"%d" % number for number in range(100)])


if __name__ == "__main__":
    unittest.main()
