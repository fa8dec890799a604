//! The two calls that change features: set wishes, compute anew.
