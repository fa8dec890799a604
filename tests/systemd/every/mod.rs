mod emit;
mod managers;
mod networkd;
mod offload;
mod unit;
