//! Control channel between the faces (command line, window) and the node: what its lines mean.
//!
//! A connection carries lines of JSON, one object each, in both directions; `docs/CLI.md` lists
//! every name. The client speaks first:
//!
//! ```text
//! > {"kiln":1,"program":"kiln 0.1.0"}
//! < {"kiln":1,"version":"0.1.0"}
//! > {"id":1,"request":"devices"}
//! < {"id":1,"reply":"devices","devices":[…]}
//! > {"id":2,"follow":"log","job":"0123456789ab","offset":0}
//! < {"id":2,"event":"log","offset":0,"text":"INFO Reading configuration…\n"}
//! < {"id":2,"event":"end"}
//! ```
//!
//! Rules of change: names never change their meaning, members may be added, unknown members are
//! ignored, an unknown request is answered with a refusal and the connection goes on. The number
//! after `kiln` rises only when that is not enough. This crate does no IO and knows no clock.

mod audit;
mod device;
mod environment;
mod form;
mod job;
mod lines;
mod message;
mod peer;
mod reply;
mod request;
#[cfg(test)]
mod samples;
mod sentence;
mod serial_port;
mod settings;
mod storage;
mod view;

pub use lines::{Lines, MAX_ANSWER, MAX_REQUEST, TooLong};
pub use message::{
    ClientMessage, DecodeError, Event, Follow, PROTOCOL, ServerMessage, decode_client,
    decode_server, encode_client, encode_server,
};
pub use reply::{job_json, reply_json, view_json};
pub use sentence::Words;
pub use settings::{settings_from, settings_json};
