-- The turns of every conversation, in order
select
  instruction.id as instruction_id, turn.key + 1 as turn,
  json_extract(turn.value, '$.role') as role, json_extract(turn.value, '$.content') as content
from instruction
join json_each(nullif(instruction.turns, '')) as turn
order by instruction.id, turn.key
limit 500
