// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// What the programs hand to user space. Fixed widths, padding written out:
// tools/hostdiag/src/probe/ decodes these bytes.
#ifndef HOSTDIAG_H
#define HOSTDIAG_H

// Feature bits of one network device, by bit number. Numbers differ between
// kernels, user space names them from the kernel's string set.
struct vlan_features_record {
	__u32 ifindex;
	__u32 pad; // 0
	__u64 features;
	__u64 vlan_features;
	__u64 hw_enc_features;
};

#endif
