-- Every attempt at a judgement; place 1 is the latest
select pair_id, annotator_id, preference, status, row_number() over (
  partition by pair_id, annotator_id, coalesce(item_id, 0), replicate, coalesce(swapped, -1)
  order by attempt desc
) as place
from annotation
