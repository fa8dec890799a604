mod managers;
mod networkd;
mod offload;
