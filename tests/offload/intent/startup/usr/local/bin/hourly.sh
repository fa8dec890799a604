#!/bin/sh
ethtool -k eth0 > /var/log/features
