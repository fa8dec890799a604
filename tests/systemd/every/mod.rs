mod managers;
mod networkd;
