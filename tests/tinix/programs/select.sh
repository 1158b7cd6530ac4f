#!/bin/sh
exec /t/select
