//! How the kernel computes the features of stacked devices. Pure.
