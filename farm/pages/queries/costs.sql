-- What judging cost, by annotator: requests, tokens, US dollars, seconds; a batched request counts once
with asked as (
  select annotator_id, completion_id, count(*) as judgements
  from annotation where completion_id is not null
  group by annotator_id, completion_id
)
select
  annotator.name as annotator, annotator.kind,
  sum(judgements) as judgements, sum(sendings) as requests,
  sum(prompt_tokens) as prompt_tokens, sum(cached_tokens) as cached_tokens,
  sum(completion_tokens) as completion_tokens,
  round(sum(cost), 6) as dollars, sum(cost is null) as requests_of_unknown_price,
  round(sum(seconds) / sum(judgements), 2) as seconds_each
from asked
join annotator on annotator.id = annotator_id
join completion on completion.claim_id = completion_id
group by annotator.id
order by dollars desc, annotator
