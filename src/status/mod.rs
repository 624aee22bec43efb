//! The status server: one page, its data as JSON and server-sent events, Prometheus metrics, and probes. It has a thread
//! of its own, off the data path, and changes nothing: it reads counters, and asks lanes about a key.

mod access;
mod connections;
mod history;
mod key;
mod page;
mod prometheus;
mod routes;
mod snapshot;

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use socket2::SockRef;
use tokio::sync::{oneshot, watch};

use crate::config::Plan;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::metrics::Metrics;
use access::Access;
use history::History;

/// Ports that are tried where the wanted one is taken, that one included.
const PORTS: u16 = 10;
/// Connections that wait to be accepted: in a crowd none should have to try again.
const BACKLOG: i32 = 1024;

/// Where the server is, and who may use it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Web {
    /// `host:port`; port 0 is any free one.
    pub address: String,
    /// What requests must carry; needed where the address is not of this machine alone.
    pub token: Option<String>,
    /// Names in the Host header that are accepted besides that of the address and of the loopback interface.
    pub hosts: Vec<String>,
    /// The settings to be shown, without secrets.
    pub settings: Box<RawValue>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Web")
            .field("address", &self.address)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// What requests are answered from.
#[derive(Debug)]
struct State {
    plan: Arc<Plan>,
    metrics: Arc<Metrics>,
    control: Control,
    access: Access,
    settings: Box<RawValue>,
    began: Instant,
    history: Mutex<History>,
    /// When the lanes may be asked again.
    next_question: tokio::sync::Mutex<tokio::time::Instant>,
    /// What the page is sent every second.
    news: watch::Sender<Arc<str>>,
}

impl State {
    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server on its thread, until it is dropped.
#[derive(Debug)]
pub struct StatusServer {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StatusServer {
    /// Starts the server of a run. None where all ports are taken, which is no reason not to run.
    pub fn start(
        web: Web,
        plan: &Arc<Plan>,
        metrics: &Arc<Metrics>,
        control: &Control,
        log: &Log,
    ) -> Result<Option<Self>> {
        let (host, port) = split(&web.address)?;
        let Some(listener) = bind(&web.address, host, port)? else {
            log.warning(
                "status",
                format!("no status page: port {port} of {host} and the next {} are taken", PORTS - 1),
            );
            return Ok(None);
        };
        let address = listener.local_addr().map_err(|error| refused(&web.address, &error))?;
        let access = Access::new(host, address.ip(), web.token, &web.hosts)?;
        if port != 0 && address.port() != port {
            log.info(
                "status",
                format!("port {port} of {host} is taken: the status page is on the next free one"),
            );
        }
        let url = format!("http://{}", named(host, address));
        log.info("status", format!("status page at {url}"));
        metrics.observer.turn_on();
        let state = Arc::new(State {
            plan: plan.clone(),
            metrics: metrics.clone(),
            control: control.clone(),
            access,
            settings: web.settings,
            began: Instant::now(),
            history: Mutex::default(),
            next_question: tokio::sync::Mutex::new(tokio::time::Instant::now()),
            news: watch::channel(Arc::from("")).0,
        });
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("millstream-status".to_owned())
            .spawn(move || connections::serve(listener, &state, stopped))
            .map_err(|error| {
                Error::config(format!("thread millstream-status could not be started: {error}"))
            })?;
        Ok(Some(Self { url, stop: Some(stop), thread: Some(thread) }))
    }

    /// Where the page is.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for StatusServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it concerns no one but the page.
            let _ = thread.join();
        }
    }
}

/// The URL's authority: the name that was given, where it can be asked for.
fn named(host: &str, address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("{}:{}", if address.is_ipv6() { "[::1]" } else { "127.0.0.1" }, address.port());
    }
    format!("{host}:{}", address.port())
}

fn split(address: &str) -> Result<(&str, u16)> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    parts
        .filter(|(host, _)| !host.is_empty())
        .ok_or_else(|| Error::config(format!("web={address:?} is no address; write \"127.0.0.1:6066\"")))
}

fn refused(address: &str, error: &std::io::Error) -> Error {
    Error::config(format!(
        "web={address:?}: the status page cannot be served there: {error}; give an address of this machine, such as \
         \"127.0.0.1:6066\""
    ))
}

/// A listener on the first free port from `port` on; none where there is none.
fn bind(address: &str, host: &str, port: u16) -> Result<Option<TcpListener>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ports = port..=if port == 0 { 0 } else { port.saturating_add(PORTS - 1) };
    for port in ports {
        let resolved: Vec<SocketAddr> =
            (bare, port).to_socket_addrs().map_err(|error| refused(address, &error))?.collect();
        match TcpListener::bind(&*resolved) {
            Ok(listener) => {
                let set_up = SockRef::from(&listener).listen(BACKLOG);
                set_up
                    .and_then(|()| listener.set_nonblocking(true))
                    .map_err(|error| refused(address, &error))?;
                return Ok(Some(listener));
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(refused(address, &error)),
        }
    }
    Ok(None)
}
