-- Judgements without a verdict: why, and what the judge said
select
  annotator.name as annotator, annotation.status, annotation.reason,
  coalesce(completion.text, imported.raw_completion) as reply, completion.finish_reason,
  annotation.pair_id, annotation.id as annotation_id, annotation.completion_id
from annotation
join annotator on annotator.id = annotation.annotator_id
left join completion on completion.claim_id = annotation.completion_id
left join imported on imported.annotation_id = annotation.id
where annotation.status in ('unreadable', 'failed')
order by annotation.id desc
limit 500
