#!/bin/sh
exec /t/pointers
