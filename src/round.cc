#include "src/round.h"

#include "src/worker.h"

namespace sluice {

Round::Round(Session& session)
    : place_(session.expect({.read_only = true})),
      home_(session.worker()),
      protocol_(session.protocol),
      workers_(home_.workers()) {}

void Round::start(std::unique_ptr<Round> round) {
  Round& started = *round.release();
  started.go_on(started.home_);
}

/// To the next worker that has not been asked, or home.
void Round::go_on(Worker& from) {
  while (visited_ < workers_.size()) {
    Worker& next = *workers_[visited_];
    if (&next != &from) return next.mailbox().post(from.ring(), *this);
    visit(from);
    ++visited_;
  }
  if (&from != &home_) return home_.mailbox().post(from.ring(), *this);
  const std::unique_ptr<Round> self(this);
  home_.settle(place_, reply());
}

void Round::on_delivered() {
  // Whose thread this is follows from where it was sent.
  go_on(visited_ == workers_.size() ? home_ : *workers_[visited_]);
}

}  // namespace sluice
