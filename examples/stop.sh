#!/bin/sh
# stop.sh FILES...: ends the processes whose numbers are in the files, and waits until they have gone.
for file in "$@"; do
  pid=$(cat "$file")
  kill "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm "$file"
done
