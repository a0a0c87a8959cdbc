-- What a checkpoint rests on: its run, the models before it, and whose judgements they learnt from
with recursive line(checkpoint_id, path, run_id, depth) as (
  select id, path, run_id, 0 from checkpoint where id = :checkpoint
  union
  select earlier.id, earlier.path, earlier.run_id, depth + 1
  from line
  join run on run.id = line.run_id
  join checkpoint as earlier
    on run.model in (earlier.path, earlier.path || '/model') and earlier.run_id <> line.run_id
  where depth < 20
)
select
  depth, line.path as checkpoint, run.id as run_id, run.command, run.model as began_with, run.seed,
  run.version, run.started, snapshot.name as snapshot, annotator.name as annotator, count(*) as judgements
from line
join run on run.id = line.run_id
left join snapshot on snapshot.id = run.snapshot_id
left join snapshot_row on snapshot_row.snapshot_id = snapshot.id
left join annotation on annotation.id = snapshot_row.annotation_id
left join annotator on annotator.id = annotation.annotator_id
group by depth, line.path, run.id, annotator.id
order by depth, judgements desc
