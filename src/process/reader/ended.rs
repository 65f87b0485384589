//! A reader whose target has ended.
//!
//! Does: close what is open of the target. Does not: forget what is known of it; its frames are still to be named.

use std::sync::Arc;

use super::Reader;
use crate::target::view::Target;

impl Reader {
    /// Takes what stands for the target from now on, and closes what is open of it.
    pub fn let_go(&mut self, gone: Arc<dyn Target>) {
        self.space.let_go(Arc::clone(&gone));
        self.target = gone;
    }
}
