# At each look() of 12-shadow: the guest's entry for the page, and what the monitor has really mapped there.
# ENGINE in the environment names the engine.
set pagination off
file build/lessons/12-shadow.elf
target remote | build/ring3 run --engine=$ENGINE --gdb stdio -S -a pv=off build/lessons/12-shadow.elf
break look
commands
  silent
  printf "\n%s:\n", name
  monitor info tlb
  monitor info shadow
  continue
end
continue
