//! Station 2, fetch, as the loop sees it: what came.

use fastworker_broker::{Delivery, Settlement, Verdict};
use fastworker_engine::{Event, Request, Scope};

use crate::clock::Arrival;
use crate::report::{Level, Report};

use super::Worker;

impl Worker {
    pub(super) fn fetched(&mut self, deliveries: Vec<Delivery>, has_more: bool) {
        self.fine();
        self.draining.answered(deliveries.len());
        let requests = self.decode(&deliveries, false);
        // The engine takes an answer that falls short for an empty queue, also when poison made it fall short, unless it
        // hears otherwise.
        self.wants_wake = requests.len() < self.asked as usize;
        if has_more {
            self.feed(Event::More);
        }
        self.feed(Event::Delivered(requests));
    }

    /// What came, as the engine sees it; poison goes to the dead letters. `is_drawn`: from lanes, with permits.
    pub(super) fn decode(&mut self, deliveries: &[Delivery], is_drawn: bool) -> Vec<Request> {
        let mut requests = Vec::with_capacity(deliveries.len());
        // What comes from a lane was told of when it first came.
        let tells = self.events.has_tasks() && !is_drawn;
        let at = Arrival::now();
        let mut noted = Vec::new();
        for delivery in deliveries {
            noted.clear();
            match self.decoder.decode(delivery, tells.then_some(&mut noted)) {
                Ok((mut held, mut request, mark)) => {
                    request.is_drawn = is_drawn;
                    held.came = self.sketches.came(request.task, at, request.eta_ms, is_drawn);
                    if let Some(recorder) = &self.recorder {
                        held.moments = recorder.arrived(at, request.task, mark);
                    }
                    let wanted = self.config.reports;
                    // What comes from a lane was reported when it first came.
                    if (wanted.received || wanted.calls) && !is_drawn {
                        let (task, id) = (held.task.clone(), held.id.clone());
                        let call = wanted.calls.then(|| held.frame.clone());
                        self.reporter.send(Report::Received { task, id, call });
                    }
                    if wanted.limited {
                        self.tell_of_limit(&request);
                    }
                    if self.has_threads {
                        self.drop_limits(&held.task, &mut request);
                    }
                    request.is_revoked = self.is_revoked(&held);
                    if tells {
                        self.tell_received(&held, &request, &noted, at.wall_us);
                    }
                    request.handle = self.held.insert(held);
                    requests.push(request);
                }
                Err(poison) => {
                    let id = poison.id.as_deref().unwrap_or("?");
                    let text = format!("message {id} moved to the dead letters: {}: {}", poison.reason, poison.detail);
                    self.reporter.log(Level::Error, text);
                    if self.config.reports.rejected {
                        let (message, detail) = (delivery.message.to_vec(), poison.detail.clone());
                        self.reporter.send(Report::Rejected { message, reason: poison.reason, detail });
                    }
                    let settlement = Settlement {
                        tag: delivery.tag,
                        message_id: poison.id,
                        has_attempts: false,
                        verdict: Verdict::DeadLetter { reason: poison.reason.to_owned(), detail: poison.detail },
                        result: None,
                        successors: Vec::new(),
                        member: None,
                    };
                    self.settling.push((settlement, None));
                }
            }
        }
        requests
    }

    /// Tells, once of each task, that it came and that its rate is limited here alone.
    fn tell_of_limit(&mut self, request: &Request) {
        let Some(task) = request.task else { return };
        let known = &self.config.tasks[task as usize];
        let is_limited = known.options.rate.is_some() && known.options.rate_scope == Scope::Worker;
        if is_limited && self.told_limited.insert(task) {
            self.reporter.send(Report::Limited { task: known.name.clone() });
        }
    }

    /// A thread can be neither interrupted nor killed. Said once.
    fn drop_limits(&mut self, task: &str, request: &mut Request) {
        let limits = (request.soft_limit_s.take(), request.hard_limit_s.take());
        if limits != (None, None) && !std::mem::replace(&mut self.has_told_of_limits, true) {
            let text = format!("a message of task {task} has a time limit: tasks that run in threads are not limited");
            self.reporter.log(Level::Warning, text);
        }
    }
}
