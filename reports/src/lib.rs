//! Renderers: functions from the model to text. They decide nothing about the
//! data and read nothing but it.
#![forbid(unsafe_code)]

pub mod capture;
pub mod chart;
pub mod compare;
pub mod diff;
pub mod doctor;
pub mod fix;
pub mod flame;
pub mod html;
pub mod markup;
pub mod metrics;
pub mod offload;
pub mod page;
pub mod perf_script;
pub mod pprof;
pub mod snapshot;
pub mod trace;

pub use page::{Page, Style};
