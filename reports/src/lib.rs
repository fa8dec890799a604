//! Renderers: functions from the model to bytes. No renderer decides anything.
#![forbid(unsafe_code)]

pub mod doctor;
