//! The way to tell a running apply to stop.
//!
//! The one decision: requests are counted, so that whoever asks twice is believed.

/// Tells a running apply to stop: the first time nothing new is begun, the second time what runs is
/// abandoned (its outcome is looked up by the next run).
#[derive(Clone, Debug)]
pub struct Cancel(tokio::sync::watch::Receiver<u8>);

impl Cancel {
    /// With the sender that counts the requests.
    pub fn new() -> (tokio::sync::watch::Sender<u8>, Self) {
        let (sender, receiver) = tokio::sync::watch::channel(0);
        (sender, Self(receiver))
    }

    pub(super) fn requested(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// How often it was asked for.
    pub fn requests(&self) -> u8 {
        *self.0.borrow()
    }

    /// Waits until it was asked for more than `n` times.
    pub async fn more_than(&mut self, n: u8) {
        if self.0.wait_for(|now| *now > n).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) async fn at_once(&mut self) {
        self.more_than(1).await;
    }
}
