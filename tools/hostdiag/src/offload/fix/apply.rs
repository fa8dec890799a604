//! Carries out a plan, one device at a time.
