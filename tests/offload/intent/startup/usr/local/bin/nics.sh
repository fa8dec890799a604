#!/bin/bash
ETHTOOL=/usr/sbin/ethtool
NICS="eth1 enp3s0"
for nic in $NICS; do
  $ETHTOOL -K $nic ufo off
done
