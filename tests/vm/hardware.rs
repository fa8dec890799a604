//! Drivers of real cards, on the full kernel.
use std::fs;

#[test]
fn lab_nics_present() {
    let mut drivers: Vec<_> = fs::read_dir("/sys/class/net")
        .unwrap()
        .filter_map(|device| fs::read_link(device.unwrap().path().join("device/driver")).ok())
        .filter_map(|driver| Some(driver.file_name()?.to_str()?.to_owned()))
        .collect();
    drivers.sort();
    assert_eq!(drivers, ["8139cp", "e1000", "e1000e", "virtio_net", "vmxnet3"]);
}
