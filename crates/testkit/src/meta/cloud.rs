//! The fake as tests hold it.

use std::net::TcpListener;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use serde_json::json;
use tokio::sync::{Notify, mpsc, oneshot};

use super::courier::{self, Command};
use super::error::GraphError;
use super::faults::{Fault, Gate, is_send};
use super::graph;
use super::pacing::Pacing;
use super::phones::Phone;
use super::state::{Accepted, Refused, Request, State, Template, WindowRefusal};
use super::webhooks::{Delivery, Posted, Status, sign};
use crate::wait::PATIENCE;

/// Milliseconds since 1970.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// A clock that the test moves.
pub fn by_hand(millis: &Arc<AtomicI64>) -> Now {
    let millis = Arc::clone(millis);
    Arc::new(move || millis.load(Ordering::SeqCst))
}

/// The business, its app, and the world.
#[derive(Clone)]
pub struct Setup {
    /// What the app's webhooks are signed with.
    pub app_secret: String,
    /// The bearer token that requests need.
    pub access_token: String,
    /// What the challenge of a webhook carries.
    pub verify_token: String,
    /// The business's number, as paths name it.
    pub phone_number_id: String,
    /// The business's account, as paths name it.
    pub business_account_id: String,
    /// As people read it.
    pub display_phone: String,
    /// What is put before a number that comes without a plus sign.
    pub country_code: String,
    /// The name that people see.
    pub verified_name: String,
    /// Where webhooks go; without it they wait.
    pub webhook_url: Option<String>,
    /// The cloud's clock; the machine's unless set.
    pub now: Now,
    /// How fast messages may go.
    pub pacing: Pacing,
}

impl Default for Setup {
    fn default() -> Self {
        let machine = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        Self {
            app_secret: "app-secret".to_owned(),
            access_token: "EAAtesttoken".to_owned(),
            verify_token: "verify-token".to_owned(),
            phone_number_id: "106540352242922".to_owned(),
            business_account_id: "102290129340398".to_owned(),
            display_phone: "+1 555-078-3881".to_owned(),
            country_code: "1".to_owned(),
            verified_name: "Test Shop".to_owned(),
            webhook_url: None,
            now: Arc::new(machine),
            pacing: Pacing::default(),
        }
    }
}

/// What the threads share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Told after each change, for tests that wait.
    changed: Notify,
    /// Told after each change, for the courier.
    pub(super) wake: Notify,
}

impl Shared {
    /// A test that panics with the state in hand has failed already; the others' answers need not panic, too.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        self.wake.notify_one();
        result
    }

    /// A change that nobody waits for.
    pub(super) fn change_quietly<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.lock())
    }

    /// Waits until `look` finds something.
    pub(super) async fn wait_for<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let looking = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                // Registered before the look, so that no change falls between.
                changed.as_mut().enable();
                if let Some(found) = self.read(&look) {
                    return found;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(found) => found,
            Err(_) => panic!(
                "waited in vain for {what}; accepted: {}, refused: {:?}",
                self.read(|state| state.accepted.len()),
                { self.read(|state| state.refused.last().cloned()) }
            ),
        }
    }
}

/// A running fake. It ends when it is dropped.
pub struct FakeCloud {
    shared: Arc<Shared>,
    base_url: String,
    server: ServerHandle,
    commands: mpsc::UnboundedSender<Command>,
}

impl Drop for FakeCloud {
    fn drop(&mut self) {
        // The order is on its way when the call returns; its thread ends by itself.
        drop(self.server.stop(false));
    }
}

impl FakeCloud {
    /// Starts on a port of its own. The server runs in its own thread.
    pub fn start(setup: Setup) -> Self {
        // Clients need one even for addresses without TLS. Another part of the test may have chosen it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let state = Mutex::new(State::new(setup, base_url.clone()));
        let shared = Arc::new(Shared { state, changed: Notify::new(), wake: Notify::new() });
        let (commands, orders) = mpsc::unbounded_channel();
        let (handle, started) = std::sync::mpsc::channel();
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("fake-cloud".to_owned())
            .spawn(move || serve(listener, for_thread, orders, handle))
            .unwrap();
        Self { shared, base_url, server: started.recv().unwrap(), commands }
    }

    /// What stands for `https://graph.facebook.com`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Milliseconds, by the cloud's clock.
    pub fn now(&self) -> i64 {
        self.shared.read(State::now)
    }

    // The account.

    /// The token is good no more.
    pub fn revoke_token(&self) {
        self.shared.change(|state| state.token = None);
    }

    /// Only this token is good from now on.
    pub fn set_token(&self, token: &str) {
        self.shared.change(|state| state.token = Some(token.to_owned()));
    }

    /// Whether the app is subscribed to the account's webhooks, as `subscribed_apps` tells.
    pub fn set_subscribed(&self, is_subscribed: bool) {
        self.shared.change(|state| state.is_subscribed = is_subscribed);
    }

    /// How fast messages may go from now on.
    pub fn set_pacing(&self, pacing: Pacing) {
        self.shared.change(|state| state.pacing = pacing);
    }

    /// How free text outside the window is refused.
    pub fn set_window_refusal(&self, refusal: WindowRefusal) {
        self.shared.change(|state| state.window_refusal = refusal);
    }

    /// What the cloud makes of a number's digits before it is a `wa_id`; see `brazil_mexico_argentina`.
    pub fn set_wa_id(&self, rewrite: fn(&str) -> String) {
        self.shared.change(|state| state.rewrite = rewrite);
    }

    // Templates.

    /// Adds a template, or replaces the one with the same name and language.
    pub fn add_template(&self, template: Template) {
        self.shared.change(|state| {
            state.templates.retain(|old| (&old.name, &old.language) != (&template.name, &template.language));
            state.templates.push(template);
        });
    }

    /// The account has it no more.
    pub fn remove_template(&self, name: &str) {
        self.shared.change(|state| state.templates.retain(|template| template.name != name));
    }

    /// Changes the status of a template in all of its languages, without a word.
    pub fn set_template_status(&self, name: &str, status: &str) {
        self.shared.change(|state| {
            for template in state.templates.iter_mut().filter(|template| template.name == name) {
                status.clone_into(&mut template.status);
            }
        });
    }

    /// Changes the status and says so by webhook (`message_template_status_update`).
    pub fn announce_template_status(&self, name: &str, status: &str, reason: &str) {
        self.set_template_status(name, status);
        self.shared.change(|state| {
            let named: Vec<Template> = state.templates.iter().filter(|known| known.name == name).cloned().collect();
            for template in named {
                let value = json!({
                    "event": status,
                    "message_template_id": template.id.parse::<u64>().unwrap_or_default(),
                    "message_template_name": template.name,
                    "message_template_language": template.language,
                    "message_template_category": template.category,
                    "reason": reason,
                });
                state.push_event("message_template_status_update", value);
            }
        });
    }

    /// How many templates a page holds at most.
    pub fn set_page_size(&self, size: usize) {
        self.shared.change(|state| state.page_size = size.max(1));
    }

    // Faults.

    /// For the next message that is sent.
    pub fn next(&self, fault: Fault) {
        self.next_times(1, fault);
    }

    /// For the next `times` messages that are sent.
    pub fn next_times(&self, times: usize, fault: Fault) {
        self.when(times, is_send, fault);
    }

    /// For the next `times` requests, of any kind, that match.
    pub fn when(&self, times: usize, matches: impl Fn(&Request) -> bool + Send + 'static, fault: Fault) {
        self.shared.change(|state| state.plan.add(times, Box::new(matches), fault));
    }

    /// The next message that is sent is accepted at once and answered when the gate opens.
    pub fn hold_next_answer(&self) -> Gate {
        let gate = Gate::closed();
        self.next(Fault::HoldAnswer(gate.clone()));
        gate
    }

    /// Forgets faults that were not used.
    pub fn clear_faults(&self) {
        self.shared.change(|state| state.plan.clear());
    }

    // People.

    /// The person of a number with country code, made if unknown.
    pub fn phone(&self, number: &str) -> Phone {
        let user = self.shared.change(|state| state.user_of_number(number));
        Phone::new(Arc::clone(&self.shared), user)
    }

    /// A person of whom the business knows only the BSUID, such as `US.13491208655302741918`, and a username.
    pub fn user_without_phone(&self, bsuid: &str, username: &str) -> Phone {
        let user = self.shared.change(|state| {
            let user = state.add_user(None, bsuid.to_owned(), username.to_owned());
            state.users[user].username = Some(username.to_owned());
            user
        });
        Phone::new(Arc::clone(&self.shared), user)
    }

    // Journals.

    /// Every request, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.read(|state| state.requests.clone())
    }

    /// Every message that was accepted, in order.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.read(|state| state.accepted.clone())
    }

    /// Every request that was refused with an error of Meta's, in order.
    pub fn refused(&self) -> Vec<Refused> {
        self.shared.read(|state| state.refused.clone())
    }

    /// The wamids that were marked as read, and whether a typing indicator was shown.
    pub fn marked_read(&self) -> Vec<(String, bool)> {
        self.shared.read(|state| state.marked_read.clone())
    }

    /// Waits until so many messages were marked as read in all.
    pub async fn wait_for_marked_read(&self, count: usize) -> Vec<(String, bool)> {
        let what = format!("{count} messages marked as read");
        self.shared.wait_for(&what, |state| (state.marked_read.len() >= count).then(|| state.marked_read.clone())).await
    }

    /// Every webhook that was posted, in order.
    pub fn posted(&self) -> Vec<Posted> {
        self.shared.read(|state| state.posted.clone())
    }

    /// Waits until so many messages were accepted in all.
    pub async fn wait_for_accepted(&self, count: usize) -> Vec<Accepted> {
        let what = format!("{count} accepted messages");
        self.shared.wait_for(&what, |state| (state.accepted.len() >= count).then(|| state.accepted.clone())).await
    }

    /// Waits until so many requests arrived in all, answered or not.
    pub async fn wait_for_requests(&self, count: usize) {
        let what = format!("{count} requests");
        self.shared.wait_for(&what, |state| (state.requests.len() >= count).then_some(())).await;
    }

    // Webhooks.

    /// Where webhooks go from now on.
    pub fn set_webhook(&self, url: &str) {
        self.shared.change(|state| state.webhook_url = Some(url.to_owned()));
    }

    /// How webhooks go out from now on.
    pub fn set_delivery(&self, delivery: Delivery) {
        self.shared.change(|state| state.delivery = delivery);
    }

    /// Lets statuses go that were held apart, and those to come.
    pub fn release_statuses(&self) {
        self.shared.change(|state| {
            state.delivery.delay_statuses = false;
            let delayed = std::mem::take(&mut state.delayed);
            state.events.extend(delayed);
        });
    }

    /// Posts what is held and what falls due again, and gives the answers.
    pub async fn deliver(&self) -> Vec<Posted> {
        let (answer, posted) = oneshot::channel();
        self.order(Command::Deliver(answer), posted).await
    }

    /// Posts until nothing is due. What the server does about it may still be under way.
    pub async fn settle(&self) {
        while !self.deliver().await.is_empty() {}
    }

    /// One more status of an accepted message, whether it makes sense or not.
    pub fn send_status(&self, wamid: &str, status: Status) {
        self.shared.change(|state| state.push_status(wamid, status, None));
    }

    /// An accepted message fails with one of Meta's codes.
    pub fn fail(&self, wamid: &str, code: i64) {
        self.shared.change(|state| {
            state.push_status(wamid, Status::Failed, Some(&GraphError::new(code, "planned by the test")));
        });
    }

    /// Trouble of the account that belongs to no message.
    pub fn announce_account_error(&self, code: i64) {
        self.shared.change(|state| state.push_account_error(&GraphError::new(code, "planned by the test")));
    }

    /// A change of any field and value.
    pub fn announce(&self, field: &'static str, value: serde_json::Value) {
        self.shared.change(|state| state.push_event(field, value));
    }

    /// Posts these bytes with the right signature, and gives status and body of the answer.
    pub async fn post_signed(&self, body: &[u8]) -> (u16, String) {
        let signature = self.shared.read(|state| sign(&state.setup.app_secret, body));
        self.post_raw(body, Some(&signature)).await
    }

    /// Posts these bytes with this signature, or without one; status 0 stands for no answer.
    pub async fn post_raw(&self, body: &[u8], signature: Option<&str>) -> (u16, String) {
        let (answer, answered) = oneshot::channel();
        let signature = signature.map(str::to_owned);
        self.order(Command::PostRaw { body: body.to_vec(), signature, answer }, answered).await
    }

    /// Meta's check of the webhook's address: whether the challenge comes back, verbatim, with 200.
    pub async fn verify_webhook(&self) -> bool {
        let challenge = "1158201444";
        self.verify_webhook_with("subscribe", None, challenge).await == (200, challenge.to_owned())
    }

    /// The check with another mode, token (`None` is the right one) or challenge; status and body of the answer.
    pub async fn verify_webhook_with(&self, mode: &str, token: Option<&str>, challenge: &str) -> (u16, String) {
        let (answer, answered) = oneshot::channel();
        let (mode, token, challenge) = (mode.to_owned(), token.map(str::to_owned), challenge.to_owned());
        self.order(Command::Verify { mode, token, challenge, answer }, answered).await
    }

    async fn order<T>(&self, command: Command, answered: oneshot::Receiver<T>) -> T {
        assert!(self.commands.send(command).is_ok(), "the fake has stopped");
        answered.await.expect("the fake answers")
    }
}

fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Command>,
    handle: std::sync::mpsc::Sender<ServerHandle>,
) {
    let for_app = web::Data::from(Arc::clone(&shared));
    actix_web::rt::System::new().block_on(async move {
        let app = move || {
            App::new()
                .app_data(for_app.clone())
                .app_data(web::PayloadConfig::new(4 << 20))
                .default_service(web::to(graph::handle))
        };
        let server = HttpServer::new(app)
            .on_connect(graph::keep_connection)
            // Meta does not close a connection on which a request is on its way. On a busy machine the library's five
            // seconds for a first request, and between two, would: what was sent then is in doubt.
            .client_request_timeout(Duration::ZERO)
            .keep_alive(PATIENCE)
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        handle.send(server.handle()).unwrap();
        actix_web::rt::spawn(courier::run(shared, orders));
        server.await.unwrap();
    });
}
