#!/bin/sh
mkdir /tmp/images
exec /t/images /tmp/images
