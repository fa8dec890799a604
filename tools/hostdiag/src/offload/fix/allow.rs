//! What may be touched: an allow list. Pure.
