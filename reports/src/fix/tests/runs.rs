use super::*;

#[test]
fn a_run_that_went_well_says_how_to_undo_and_keep_it() {
    let step = article("vlan10", 5);
    let run = run_of(Some("20261124-7"), vec![repaired(&step)]);
    let plan = Plan { steps: vec![step], ..Plan::default() };
    same(
        &page(&Fix { plan, run: Some(run) }),
        r"
plan for web17: 1 device, software only, no physical device changes
  vlan10  tx-scatter-gather       off -> on
  vlan10  tx-checksum-ip-generic  off -> on
          follow: tso, tso6, tso-ecn, gso
          same as: ethtool -K vlan10 tx-scatter-gather on tx-checksum-ip-generic on
repaired vlan10: tx-scatter-gather, tx-checksum-ip-generic on; followed: tso, tso6, tso-ecn, gso; watched 5 s, nothing worse
1 repair done; run 20261124-7
Undo   sudo hostdiag offload --undo 20261124-7
Keep   hostdiag offload --emit networkd-link|ifupdown|networkmanager, or hostdiag-offload.service
",
    );
}

#[test]
fn a_run_that_went_wrong_says_what_and_what_remains() {
    let steps: Vec<Step> = (1..=12).map(|index| article(&format!("vlan{index}"), index)).collect();
    let mut happened = steps[0].changes.clone();
    happened.retain(|change| &*change.feature != CSUM);
    happened.push(change(("vlan1", 1), "rx-gro", "off", "off [requested on]"));
    happened.push(Change { physical: true, ..change(("eth0", 90), "rx-lro", "on", "off") });
    for (name, index) in [("vlan1.5", 91), ("vlan1.6", 92)] {
        happened.push(change((name, index), "tx-tcp-segmentation", "off [requested on]", "on"));
    }
    let mut done = vec![
        Done::NotFollowed { changes: happened, missing: features(&[CSUM]) },
        Done::Failed { error: "vlan2 refused it: Operation not supported (os error 95)".into() },
        Done::Interrupted,
        Done::Removed,
        Done::RolledBack { worse: vec!["bond0 lost its carrier".into(), "eth0 3 transmit timeouts".into()] },
    ];
    done.extend(vec![Done::NotStarted { why: "vlan5 was rolled back".into() }; 7]);
    let run = Run {
        observe_ms: 300,
        remaining: (1..=11).map(|number| format!("vlan{number} {CSUM}")).collect(),
        problems: vec![Problem { subject: "history".into(), message: "No space left on device".into() }],
        ..run_of(Some("7"), done)
    };
    let fix = Fix { plan: Plan { steps, ..Plan::default() }, run: Some(run) };
    let text = page(&fix);
    let of_run = text.split_once("not followed").unwrap().1;
    same(
        of_run,
        r" vlan1: tx-checksum-ip-generic stayed off; tx-scatter-gather on; followed: tso, tso6, tso-ecn, gso, rx-gro off -> off [requested on]; also PHYSICAL eth0 (rx-lro off), vlan1.5, vlan1.6 (tso); watched 300 ms, nothing worse
failed vlan2: vlan2 refused it: Operation not supported (os error 95)
interrupted vlan3: undone
removed vlan4: meanwhile, by somebody; nothing to set back
rolled back vlan5: bond0 lost its carrier; eth0 3 transmit timeouts
not started vlan6 vlan7 vlan8 vlan9 vlan10 vlan11 vlan12: vlan5 was rolled back
12 repairs: 1 not followed, 1 failed, 1 interrupted, 1 removed, 1 rolled back, 7 not started; run 7
still to repair: vlan1 tx-checksum-ip-generic; vlan2 tx-checksum-ip-generic; vlan3 tx-checksum-ip-generic; vlan4 tx-checksum-ip-generic; vlan5 tx-checksum-ip-generic; vlan6 tx-checksum-ip-generic; vlan7 tx-checksum-ip-generic; vlan8 tx-checksum-ip-generic and 3 more
not kept: history: No space left on device
Undo   sudo hostdiag offload --undo 7
",
    );
}

#[test]
fn a_run_without_steps_changes_nothing_and_tells_of_the_last_one() {
    let wish = |feature: &str, result| UndoneWish {
        device: "vlan10".into(),
        was: None,
        feature: feature.into(),
        wanted: false,
        result,
    };
    let recovered = vec![
        Undone {
            id: "6".into(),
            wishes: vec![wish(SG, UndoResult::Restored), wish(CSUM, UndoResult::AlreadySo)],
            recomputed: Vec::new(),
        },
        Undone { id: "5".into(), wishes: Vec::new(), recomputed: Vec::new() },
    ];
    let fix = Fix { run: Some(Run { recovered, ..run_of(None, Vec::new()) }), ..Fix::default() };
    let mut recording = recording(Data::Fix(fix.clone()));
    recording.elapsed_ms = None;
    recording.loss.push(Loss { what: "lines".into(), count: 2 });
    same(
        &text(&recording, &fix, Options::default()),
        r"
run 6 was interrupted and is undone: 1 restored, 1 already so
  vlan10  tx-scatter-gather       restored: wanted=off
  vlan10  tx-checksum-ip-generic  already so: wanted=off
run 5 was interrupted and is undone: it had changed nothing
plan for web17: nothing to repair
nothing was changed
lost: 2 lines
partial recording: it has no end
",
    );
}

#[test]
fn a_live_run_prints_the_page_of_its_recording_bit_by_bit() {
    let steps: Vec<Step> = (1..=3).map(|index| article(&format!("vlan{index}"), index)).collect();
    let why = "interrupted".to_owned();
    let done = vec![repaired(&steps[0]), Done::Interrupted, Done::NotStarted { why }];
    let run = run_of(Some("7"), done);
    let fix = Fix { plan: Plan { steps, ..Plan::default() }, run: Some(run.clone()) };
    let options = Options::default();
    let mut live = run::recovered(&run.recovered, options) + &plan::text("web17", &fix.plan, options);
    for (step, done) in fix.plan.steps.iter().zip(&run.steps) {
        live += &run::step(step, done, run.observe_ms, options);
    }
    assert_eq!(live + &run::end(&fix, options), page(&fix));
}

#[test]
fn an_undo_tells_of_each_wish() {
    let wish = |device: &str, feature: &str, result| UndoneWish {
        device: device.into(),
        was: None,
        feature: feature.into(),
        wanted: false,
        result,
    };
    let why = "the device has gone".to_owned();
    let mut wishes: Vec<UndoneWish> =
        (1..=300).map(|number| wish(&format!("vlan{number}"), SG, UndoResult::Restored)).collect();
    wishes.push(wish("vlan1", CSUM, UndoResult::AlreadySo));
    wishes.push(UndoneWish { wanted: true, ..wish("bond1", SG, UndoResult::Conflict { why }) });
    let undone = Undo {
        runs: vec![
            Undone { id: "7".into(), wishes, recomputed: vec!["eth0".into()] },
            Undone { id: "6".into(), wishes: Vec::new(), recomputed: vec!["eth0".into()] },
        ],
        problems: vec![Problem { subject: "history".into(), message: "Read-only file system".into() }],
    };
    let recording = recording(Data::Undo(undone.clone()));
    same(
        &undo::text(&recording, &undone, Options::default()),
        r"
run 7 undone: 300 restored, 1 already so, 1 conflict
  vlan1 and 299 more devices  tx-scatter-gather       restored: wanted=off
  vlan1                       tx-checksum-ip-generic  already so: wanted=off
  bond1                       tx-scatter-gather       conflict, left as it is: the device has gone
  eth0                        recompute               computed anew, which has no state of its own: nothing to go back to
run 6 undone
  eth0  recompute  computed anew, which has no state of its own: nothing to go back to
not kept: history: Read-only file system
",
    );
    assert_eq!(undo::text(&recording, &undone, ALL).matches("  restored: ").count(), 300);
    assert_eq!(undo::text(&recording, &Undo::default(), Options::default()), "nothing to undo\n");
}

#[test]
fn the_history_is_a_line_a_change() {
    let entry = HistoryEntry {
        time_ms: 1_795_478_399_000,
        run: "7".into(),
        what: What::Set,
        netns: None,
        device: "vlan10".into(),
        feature: Some(SG.into()),
        before: Some("off".into()),
        after: Some("on".into()),
        who: Who { uid: 0, loginuid: Some(1000), sudo_user: Some("alice".into()), sudo_uid: None },
        command: "hostdiag offload --fix".into(),
        reason: Some("slow web".into()),
    };
    let recompute = HistoryEntry {
        what: What::Recompute,
        netns: Some("blue".into()),
        device: "eth0".into(),
        feature: None,
        before: None,
        after: None,
        who: Who::default(),
        reason: None,
        ..entry.clone()
    };
    let rollback = HistoryEntry {
        what: What::Rollback,
        before: None,
        who: Who { uid: 0, loginuid: Some(0), sudo_user: None, sudo_uid: None },
        ..entry.clone()
    };
    let all = History { entries: vec![entry, recompute, rollback] };
    let recording = recording(Data::History(all.clone()));
    same(
        &history::text(&recording, &all, Options::default()),
        r#"
2026-11-23T23:59:59Z  uid 1000 (alice via sudo)  set        vlan10      tx-scatter-gather  off -> on  run 7  "slow web"
2026-11-23T23:59:59Z  uid 0 (no login)           recompute  blue: eth0  all features                  run 7
2026-11-23T23:59:59Z  uid 0                      rollback   vlan10      tx-scatter-gather  ? -> on    run 7  "slow web"
"#,
    );
    assert_eq!(history::text(&recording, &History::default(), Options::default()), "no changes so far\n");
}
