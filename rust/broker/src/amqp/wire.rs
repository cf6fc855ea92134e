//! A client's connection: blocking, in the caller's thread, with the frames of lapin's own codec.
//!
//! lapin itself runs a thread for each connection, and a client has none: it lives in other people's processes, which
//! fork. It asks for no heartbeat: nobody would be there to send it between two calls. `calls.rs` has what can be asked for,
//! `blocking.rs` opens it when it is needed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use amq_protocol::auth::Credentials;
use amq_protocol::frame::{AMQPFrame, ProtocolVersion, WriteContext, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection};
use lapin::BasicProperties;
use lapin::tcp::{HandshakeError, TcpStream};
use lapin::types::AMQPValue;
use lapin::uri::{AMQPScheme, AMQPUri};

use super::declared::Declared;
use super::message::short;
use super::options::AmqpOptions;
use super::returns::Returned;
use super::steps::{arguments, long};

/// The one channel that is used.
pub(super) const CHANNEL: u16 = 1;
const READ_AT_ONCE: usize = 64 * 1024;

/// A message that came.
pub(super) struct Received {
    /// To acknowledge it.
    pub(super) tag: u64,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// Why something went wrong.
pub(super) enum Fault {
    /// The connection is gone.
    Gone(String),
    /// The time is over.
    Late,
    /// The time is over, and all of it the server took no publishes; its reason.
    Blocked(String),
    /// The server refused, and closed the channel or the connection.
    Replied(u16, String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Fault::Late,
            _ => Fault::Gone(error.to_string()),
        }
    }
}

/// An open connection with one channel, on which publishes are confirmed.
pub(super) struct Open {
    pub(super) stream: TcpStream,
    pub(super) pid: u32,
    pub(super) deadline: Instant,
    /// How long an answer may take.
    pub(super) patience: Duration,
    /// What was read; up to `used` it has been taken.
    unread: Vec<u8>,
    used: usize,
    /// What is to be written.
    pub(super) out: Vec<u8>,
    pub(super) frame_max: usize,
    /// Publishes so far: the server counts them too.
    pub(super) published: u64,
    /// Those of them that are not confirmed.
    pub(super) unconfirmed: HashSet<u64>,
    pub(super) refused: HashSet<u64>,
    /// What came back since nothing could be reached by it.
    pub(super) returned: Vec<Returned>,
    /// By consumer.
    pub(super) delivered: HashMap<String, VecDeque<Received>>,
    pub(super) declared: Declared,
    /// Why the server takes no publishes just now.
    blocked: Option<String>,
    /// The channel is closed, though what was asked for has its answer.
    pub(super) is_over: bool,
}

impl Open {
    pub(super) fn connect(server: &AMQPUri, options: &AmqpOptions) -> Result<Open, Fault> {
        let address = (server.authority.host.as_str(), server.authority.port);
        let plain = TcpStream::connect_timeout(address, options.connect_timeout)?;
        plain.set_nodelay(true)?;
        plain.set_read_timeout(Some(options.connect_timeout))?;
        plain.set_write_timeout(Some(options.response_timeout))?;
        let stream = match server.scheme {
            AMQPScheme::AMQP => plain,
            AMQPScheme::AMQPS => {
                crate::tls::install_provider();
                encrypted(plain.into_tls(&server.authority.host, options.tls.as_ref()))?
            }
        };
        let mut open = Open {
            stream,
            pid: std::process::id(),
            deadline: Instant::now() + options.connect_timeout,
            patience: options.response_timeout,
            unread: Vec::new(),
            used: 0,
            out: Vec::new(),
            frame_max: 4096,
            published: 0,
            unconfirmed: HashSet::new(),
            refused: HashSet::new(),
            returned: Vec::new(),
            delivered: HashMap::new(),
            declared: Declared::default(),
            blocked: None,
            is_over: false,
        };
        open.shake_hands(server)?;
        Ok(open)
    }

    fn shake_hands(&mut self, server: &AMQPUri) -> Result<(), Fault> {
        use connection::AMQPMethod as Connection;
        self.put(&AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1()));
        self.send()?;
        self.reply(0, |method| matches!(method, AMQPClass::Connection(Connection::Start(_))).then_some(()))?;
        let mechanism = server.query.auth_mechanism.unwrap_or_default();
        let response = Credentials::from(server.authority.userinfo.clone()).sasl_auth_string(mechanism);
        let capabilities = arguments([
            ("authentication_failure_close", AMQPValue::Boolean(true)),
            ("publisher_confirms", AMQPValue::Boolean(true)),
            ("basic.nack", AMQPValue::Boolean(true)),
            ("consumer_cancel_notify", AMQPValue::Boolean(true)),
            ("connection.blocked", AMQPValue::Boolean(true)),
        ]);
        let client_properties = arguments([
            ("product", long("fastworker")),
            ("version", long(env!("CARGO_PKG_VERSION"))),
            ("capabilities", AMQPValue::FieldTable(capabilities)),
        ]);
        self.method(
            0,
            AMQPClass::Connection(Connection::StartOk(connection::StartOk {
                client_properties,
                mechanism: mechanism.name().into(),
                response,
                locale: "en_US".into(),
            })),
        );
        self.send()?;
        let tune = self.reply(0, |method| match method {
            AMQPClass::Connection(Connection::Tune(tune)) => Some(tune),
            _ => None,
        })?;
        let frame_max = if tune.frame_max == 0 { 128 * 1024 } else { tune.frame_max };
        self.frame_max = frame_max as usize;
        self.method(
            0,
            AMQPClass::Connection(Connection::TuneOk(connection::TuneOk {
                channel_max: tune.channel_max,
                frame_max,
                heartbeat: 0,
            })),
        );
        self.method(
            0,
            AMQPClass::Connection(Connection::Open(connection::Open { virtual_host: short(&server.vhost) })),
        );
        self.send()?;
        self.reply(0, |method| matches!(method, AMQPClass::Connection(Connection::OpenOk(_))).then_some(()))?;
        self.call(AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})), |method| {
            matches!(method, AMQPClass::Channel(channel::AMQPMethod::OpenOk(_))).then_some(())
        })?;
        self.call(AMQPClass::Confirm(confirm::AMQPMethod::Select(confirm::Select { nowait: false })), |method| {
            matches!(method, AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_))).then_some(())
        })
    }

    /// Sends a method, and reads until its answer has come.
    pub(super) fn call<T>(&mut self, method: AMQPClass, answer: impl Fn(AMQPClass) -> Option<T>) -> Result<T, Fault> {
        self.method(CHANNEL, method);
        self.send()?;
        self.reply(CHANNEL, answer)
    }

    fn reply<T>(&mut self, on: u16, answer: impl Fn(AMQPClass) -> Option<T>) -> Result<T, Fault> {
        loop {
            if let Some(method) = self.next_method(on)?
                && let Some(found) = answer(method)
            {
                return Ok(found);
            }
        }
    }

    /// Reads one frame and does what it asks for; nobody waits for an answer.
    pub(super) fn read_frame(&mut self) -> Result<(), Fault> {
        self.next_method(CHANNEL).map(drop)
    }

    /// Reads one frame. What comes without being asked for is put where it belongs.
    fn next_method(&mut self, on: u16) -> Result<Option<AMQPClass>, Fault> {
        let AMQPFrame::Method(channel, method) = self.frame()? else { return Ok(None) };
        match method {
            AMQPClass::Connection(connection::AMQPMethod::Close(close)) => {
                self.method(0, AMQPClass::Connection(connection::AMQPMethod::CloseOk(connection::CloseOk {})));
                let _gone = self.send();
                Err(Fault::Replied(close.reply_code, close.reply_text.to_string()))
            }
            AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked)) => {
                self.blocked = Some(blocked.reason.to_string());
                Ok(None)
            }
            AMQPClass::Connection(connection::AMQPMethod::Unblocked(_)) => {
                self.blocked = None;
                Ok(None)
            }
            AMQPClass::Channel(channel::AMQPMethod::Close(close)) => {
                Err(Fault::Replied(close.reply_code, close.reply_text.to_string()))
            }
            AMQPClass::Basic(basic::AMQPMethod::Ack(ack)) => {
                self.confirmed(ack.delivery_tag, ack.multiple);
                Ok(None)
            }
            AMQPClass::Basic(basic::AMQPMethod::Nack(nack)) => {
                self.refused.insert(nack.delivery_tag);
                self.confirmed(nack.delivery_tag, nack.multiple);
                Ok(None)
            }
            AMQPClass::Basic(basic::AMQPMethod::Return(back)) => {
                let (properties, body) = self.content()?;
                self.returned.push(Returned {
                    exchange: back.exchange.to_string(),
                    routing_key: back.routing_key.to_string(),
                    correlation_id: properties.correlation_id().as_ref().map(ToString::to_string),
                    body,
                });
                Ok(None)
            }
            AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)) => {
                let (properties, body) = self.content()?;
                if let Some(mine) = self.delivered.get_mut(deliver.consumer_tag.as_str()) {
                    mine.push_back(Received {
                        tag: deliver.delivery_tag,
                        exchange: deliver.exchange.to_string(),
                        routing_key: deliver.routing_key.to_string(),
                        properties,
                        body,
                    });
                }
                Ok(None)
            }
            method => Ok((channel == on).then_some(method)),
        }
    }

    fn confirmed(&mut self, tag: u64, is_multiple: bool) {
        if is_multiple {
            self.unconfirmed.retain(|published| *published > tag);
        } else {
            self.unconfirmed.remove(&tag);
        }
    }

    /// Header and body that follow a method. They are on their way: who was going to wait for less long does so for them.
    pub(super) fn content(&mut self) -> Result<(BasicProperties, Vec<u8>), Fault> {
        let until = self.deadline;
        self.deadline = until.max(Instant::now() + self.patience);
        let AMQPFrame::Header(_, header) = self.frame()? else {
            return Err(Fault::Gone("a message without its header".to_owned()));
        };
        let size = usize::try_from(header.body_size).unwrap_or(usize::MAX);
        let mut body = Vec::new();
        while body.len() < size {
            match self.frame()? {
                AMQPFrame::Body(_, chunk) => body.extend(chunk),
                _ => return Err(Fault::Gone("a message without its body".to_owned())),
            }
        }
        self.deadline = until;
        Ok((header.properties, body))
    }

    /// The next frame that is no heartbeat.
    fn frame(&mut self) -> Result<AMQPFrame, Fault> {
        loop {
            match parse_frame(&self.unread[self.used..]) {
                Ok((rest, frame)) => {
                    self.used = self.unread.len() - rest.len();
                    if frame != AMQPFrame::Heartbeat {
                        return Ok(frame);
                    }
                }
                Err(error) if error.is_incomplete() => self.read()?,
                Err(error) => return Err(Fault::Gone(format!("it is not AMQP: {error:?}"))),
            }
        }
    }

    fn read(&mut self) -> Result<(), Fault> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.late());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.unread.drain(..std::mem::take(&mut self.used));
        let start = self.unread.len();
        self.unread.resize(start + READ_AT_ONCE, 0);
        let read = self.stream.read(&mut self.unread[start..]);
        self.unread.truncate(start + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(Fault::Gone("the server closed the connection".to_owned())),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => match Fault::from(error) {
                Fault::Late => Err(self.late()),
                fault => Err(fault),
            },
        }
    }

    fn late(&self) -> Fault {
        self.blocked.clone().map_or(Fault::Late, Fault::Blocked)
    }

    pub(super) fn method(&mut self, channel: u16, method: AMQPClass) {
        self.put(&AMQPFrame::Method(channel, method));
    }

    pub(super) fn put(&mut self, frame: &AMQPFrame) {
        let out = std::mem::take(&mut self.out);
        let written = gen_frame(frame)(WriteContext { write: out, position: 0 });
        self.out = written.expect("memory takes all that is written").write;
    }

    pub(super) fn send(&mut self) -> Result<(), Fault> {
        let out = std::mem::take(&mut self.out);
        self.stream.write_all(&out)?;
        Ok(self.stream.flush()?)
    }
}

fn encrypted(mut handshake: Result<TcpStream, HandshakeError>) -> Result<TcpStream, Fault> {
    loop {
        match handshake {
            Ok(stream) => return Ok(stream),
            Err(HandshakeError::WouldBlock(unfinished)) => handshake = unfinished.handshake(),
            Err(HandshakeError::Failure(error)) => return Err(error.into()),
        }
    }
}
