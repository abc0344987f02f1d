//! The socket that the server listens on, which connections it takes, and how fast it reads them.
//!
//! This is what `actix_web::HttpServer` does with a layer between the sockets and actix-http: see [`pace`].

mod answer;
mod pace;
mod peers;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Method, Protocol, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use ipnet::IpNet;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;

use crate::error::{Error, Result};
use crate::telemetry::LogRateLimit;
use answer::Answer;
use pace::{Connection, Pace, ProgressTimeouts};
use peers::Peers;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;
/// Bytes of an answer that the kernel takes for a connection; it doubles them for what it needs itself. Left to itself
/// it takes megabytes for a caller that does not read.
const SEND_BUFFER: usize = 128 * 1024;
/// Seconds that requests under way have to finish when the server stops.
const SHUTDOWN_SECONDS: u64 = 10;
/// How long a connection may stay silent between two requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// The time in which a connection's first request has to arrive is that of [`Connection`]. actix-http looks at its own
/// before it looks into the socket, and would refuse what lies there after the process stood still.
const NO_LIMIT: Duration = Duration::ZERO;
/// How long a connection that is closed for a reason of ours may take to read that.
const DISCONNECT: Duration = Duration::from_secs(1);
/// How long a connection may make no progress.
const PROGRESS_TIMEOUTS: ProgressTimeouts =
    ProgressTimeouts { begun: Duration::from_secs(30), idle: Duration::from_secs(90) };

/// Limits the lines of the log on closed connections.
static REFUSED: LogRateLimit = LogRateLimit::new();

/// Where the server listens and whom it takes.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The address; port 0 is any free port.
    pub(crate) bind: SocketAddr,
    /// Connections that one peer may have; 0 is no limit.
    pub(crate) connections_per_peer: u32,
    /// Peers whose connections are not counted.
    pub(crate) trusted_proxies: Vec<IpNet>,
}

/// Binds the address.
///
/// # Errors
/// `Invalid` when it cannot be bound.
pub(crate) fn bind(options: &Options) -> Result<TcpListener> {
    let address = options.bind;
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    listen().map_err(|error: std::io::Error| {
        let text = format!("Cannot listen on {address} (`--bind` or server.bind chooses another address)");
        Error::invalid(text).caused_by(error)
    })
}

/// Serves an application on a socket, on threads of its own, once what is given back is awaited.
///
/// # Errors
/// When the socket cannot be used.
pub(crate) fn serve<F, I, S>(listener: TcpListener, options: Options, application: F) -> std::io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = actix_web::Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<BoxBody>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
{
    let builder = ServerBuilder::new().disable_signals().shutdown_timeout(SHUTDOWN_SECONDS);
    let stopping = builder.graceful_shutdown_signal();
    let address = listener.local_addr()?;
    let peers = Peers::new(options.connections_per_peer, options.trusted_proxies);
    let builder = builder.listen("qyvo", listener, move || {
        let stopping = stopping.clone();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(NO_LIMIT)
            .client_disconnect_timeout(DISCONNECT)
            .local_addr(address)
            .on_connect_ext(|connection: &Connection<TcpStream>, data| {
                data.insert(connection.pace());
            })
            .finish(answering(map_config(application(), |()| AppConfig::default())));
        let peers = peers.clone();
        fn_service(move |stream: TcpStream| std::future::ready(admit(stream, &peers))).and_then(http)
    })?;
    Ok(builder.run())
}

/// Takes a connection, or closes it where its peer has too many.
fn admit(
    stream: TcpStream,
    peers: &Arc<Peers>,
) -> Result<(Connection<TcpStream>, Protocol, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr().ok();
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let Some(admitted) = peers.admit(address) else {
        if let Some(others) = REFUSED.let_through() {
            tracing::warn!(peer = %address, others, "a connection beyond server.connections_per_peer was closed");
        }
        return Err(DispatchError::Io(std::io::ErrorKind::ConnectionRefused.into()));
    };
    Ok((Connection::new(stream, PROGRESS_TIMEOUTS, admitted), Protocol::Http1, peer))
}

/// Tells each connection when a request of it is being answered, and hands answers over in slices. The answer to `HEAD`
/// is over with its head, even where the body would never end.
fn answering<I, S>(
    application: I,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = Response<Answer>,
    Error = actix_web::Error,
    InitError = S::InitError,
    Service = impl Service<Request, Response = Response<Answer>, Error = actix_web::Error, Future: 'static>,
    Future: 'static,
>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = (), Error = actix_web::Error> + 'static,
    S::Response: Into<Response<BoxBody>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
{
    apply_fn_factory(application, |mut request: Request, service: &S::Service| {
        let pace = request.conn_data::<std::rc::Rc<Pace>>().cloned();
        let turn = pace.map(|pace| pace.begin(&mut request));
        let has_body = *request.method() != Method::HEAD;
        let answer = service.call(request);
        async move { Ok(Answer::of(answer.await?, turn, has_body)) }
    })
}
