#!/bin/sh
mkdir /tmp/edges
exec /t/edges /tmp/edges /t/edges
