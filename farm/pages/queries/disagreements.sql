-- Where people and the others differ most, on one pair; latest judgements, means of P(output_a preferred)
with latest as ({latest}),
said as (
  select pair_id, kind = 'human' as by_people, avg(preference) as preference, count(*) as n
  from latest join annotator on annotator.id = annotator_id
  where place = 1 and status = 'ok'
  group by pair_id, kind = 'human'
)
select
  people.pair_id,
  round(abs(people.preference - others.preference), 3) as gap,
  round(people.preference, 3) as people, people.n as people_n,
  round(others.preference, 3) as others, others.n as others_n,
  instruction.text as instruction, a.text as output_a, b.text as output_b
from said as people
join said as others on others.pair_id = people.pair_id and not others.by_people
join pair on pair.id = people.pair_id
join output as a on a.id = pair.output_a_id
join output as b on b.id = pair.output_b_id
join instruction on instruction.id = a.instruction_id
where people.by_people and people.preference <> others.preference
order by gap desc, people.pair_id
limit 200
