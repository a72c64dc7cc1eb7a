//! What is made of attention weights: measures of heads, rollout, pictures, and the page, which needs a browser.

mod page;
mod plot;
mod rollout;
mod weights;
