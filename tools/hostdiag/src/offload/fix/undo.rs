//! The way back. Pure: which wishes are to be restored.
