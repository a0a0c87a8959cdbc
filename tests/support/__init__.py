"""What several tests share. Things that run, servers, ledgers and models, pages:

command_line         the command line, in this process or as arguments of a process
judging_runs         annotating ledgers of made-up pairs, as a function or as a command
foreseen_runs        a run in a process of its own, measured beside its dry run
forked               commands in processes of their own that begin at once, to be killed
held                 the bytes of a ledger that is open in this process
full_disk            a disk that is full, for this process alone
label_page           `farm label` as a process of its own, with the links that it prints
train_script         a training run in a process of its own, to be killed or shared out
tiny_study           a whole quickstart in seconds
habits               chat servers with the habits of known providers
simulated_provider   the simulated provider, and the client side that asks it
completions_server   the completions API over HTTP, with a real model behind it
rollout_server       the server of examples/rollout_server.py in a thread, which can die
judged_sums          sums that a person judged, with the right answers preferred
judged_rows          judgements written by hand, as the frames that an audit reads
benchmark_files      small benchmarks of judges in their public formats, and judges of them
judged_models        ledgers in which judges prefer one model to another
shapes               rows in the shapes of the field, written to files and read back
known_members        panels and cascades of judges whose utilities are known
known_pools          pools whose members' utilities are known
catalogued           the catalogue of annotators, loaded once
attacks              a command with its peak memory, and a server of raw bytes
hostile_texts        texts that want to run or break out, and a ledger full of them
world_pairs          pairs of demonstrations of the embedded world
tiny_models          random models to train
tiny_judges          random judges and reward models that read long prompts
objectives           losses on given pairs and outputs, and the vectors that they are held to
online_runs          runs of online methods on a ledger of sums, judged by annotators of every kind
rounds_runs          runs of rounds on a ledger of sums
rewards              rules in Python that a test names as a reward
on_policy            methods that learn from their own rollouts, made and trained
benchmark_scripts    the scripts of benchmarks/ as modules
sources              our code as data: files, modules, syntax trees
accessibility        what axe finds wrong with a page
"""
