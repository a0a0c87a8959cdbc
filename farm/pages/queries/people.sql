-- Each person against every other annotator: how often both fall on the same side of a pair
with latest as ({latest}),
said as (
  select pair_id, annotator_id, name, kind, sign(avg(preference) - 0.5) as side
  from latest join annotator on annotator.id = annotator_id
  where place = 1 and status = 'ok'
  group by pair_id, annotator_id
)
select
  person.name as person, other.name as annotator, other.kind, count(*) as pairs,
  round(avg(person.side = other.side), 3) as agreement
from said as person
join said as other on other.pair_id = person.pair_id and other.annotator_id <> person.annotator_id
where person.kind = 'human'
group by person.annotator_id, other.annotator_id
order by person, agreement desc
