use super::*;
use crate::snapshot::Value;

fn host(kernel: &str) -> Host {
    Host { kernel: Some(kernel.into()), ..Host::default() }
}

fn snapshot(settings: &[(Area, Option<&str>, &str, &str)]) -> Snapshot {
    let setting = |(area, of, name, value): &(Area, Option<&str>, &str, &str)| Setting {
        area: *area,
        of: of.map(str::to_owned),
        name: (*name).into(),
        value: Value::Value((*value).into()),
        origin: None,
        asked: None,
    };
    Snapshot { settings: settings.iter().map(setting).collect(), ..Snapshot::default() }
}

fn found(kernels: [&str; 2], a: &Snapshot, b: &Snapshot) -> Differences {
    let hosts = kernels.map(host);
    differences(&[Facts { host: &hosts[0], snapshot: a }], &[Facts { host: &hosts[1], snapshot: b }])
}

#[test]
fn values_are_compared_whatever_the_blanks() {
    let a = snapshot(&[(Area::Sysctl, None, "net.ipv4.tcp_rmem", "4096\t131072\t6291456")]);
    let b = snapshot(&[(Area::Sysctl, None, "net.ipv4.tcp_rmem", "4096 131072 6291456")]);
    let same = found(["6.1", "6.1"], &a, &b);
    assert_eq!((same.rows.len(), same.compared), (0, 1));
}

#[test]
fn places_that_differ_alike_are_one_row() {
    let a = snapshot(&[
        (Area::Cpu, Some("cpu0"), "scaling_governor", "performance"),
        (Area::Cpu, Some("cpu1"), "scaling_governor", "performance"),
    ]);
    let b = snapshot(&[
        (Area::Cpu, Some("cpu0"), "scaling_governor", "powersave"),
        (Area::Cpu, Some("cpu1"), "scaling_governor", "powersave"),
    ]);
    let rows = found(["6.1", "6.1"], &a, &b).rows;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].places.iter().map(|place| place.a.as_str()).collect::<Vec<_>>(), ["cpu0", "cpu1"]);
    assert_eq!(rows[0].class, Class::Set);
}

#[test]
fn what_could_not_be_read_is_left_out_and_counted() {
    let a = snapshot(&[(Area::Sysctl, None, "kernel.kptr_restrict", "1")]);
    let mut b = a.clone();
    b.settings[0].value = Value::Unreadable("permission denied".into());
    let differences = found(["6.1", "6.1"], &a, &b);
    assert_eq!((differences.rows.len(), differences.unread), (0, 1));
}

#[test]
fn whose_doing_it_is() {
    let kernel = ["6.1", "7.2"];
    let same = ["6.1", "6.1"];
    let class = |kernels, row: (Area, Option<&str>, &str), origin: Option<&str>| {
        let (area, of, name) = row;
        let a = snapshot(&[(area, of, name, "1")]);
        let mut b = snapshot(&[(area, of, name, "2")]);
        b.settings[0].origin = origin.map(str::to_owned);
        found(kernels, &a, &b).rows[0].class
    };
    let sysctl = (Area::Sysctl, None, "net.core.rmem_max");
    assert_eq!(class(kernel, sysctl, None), Class::Os);
    assert_eq!(class(kernel, sysctl, Some("/usr/lib/sysctl.d/50-default.conf:3")), Class::Os);
    assert_eq!(class(kernel, sysctl, Some("/etc/sysctl.d/90-local.conf:1")), Class::Set);
    assert_eq!(class(same, sysctl, None), Class::Set);
    assert_eq!(class(same, (Area::Sysctl, None, "kernel.threads-max"), None), Class::Hardware);
    assert_eq!(class(same, (Area::Sysctl, None, "kernel.random.boot_id"), None), Class::Volatile);
    assert_eq!(class(kernel, (Area::Kernel, Some("cmdline"), "mitigations"), None), Class::Set);
    assert_eq!(class(kernel, (Area::Config, None, "CONFIG_HZ"), None), Class::Os);
    assert_eq!(class(kernel, (Area::Link, Some("eth0"), "mtu"), None), Class::Set);
    let limit = (Area::Qdisc, Some("eth0"), "root fq limit");
    assert_eq!(class(same, limit, None), Class::Set);
    let [a, b] = ["pfifo_fast", "fq"].map(|kind| (Area::Qdisc, Some("eth0"), "root", kind));
    let rows = found(same, &snapshot(&[a]), &snapshot(&[b, (limit.0, limit.1, limit.2, "10000")])).rows;
    let classes: Vec<Class> = rows.iter().map(|row| row.class).collect();
    assert_eq!(classes, [Class::Set, Class::Follows]);
}
