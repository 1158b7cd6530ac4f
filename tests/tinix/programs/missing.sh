#!/bin/sh
# With `debug` a call that is not there is told of, by name and once.
/t/pointers
