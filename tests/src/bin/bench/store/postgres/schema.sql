-- One record of feedback, as a product that keeps it in PostgreSQL would: the columns of our own record.
CREATE TABLE feedback (
    id           uuid PRIMARY KEY,
    tenant       text NOT NULL,
    instance     text NOT NULL,
    submission   text NOT NULL,
    field        text NOT NULL,
    revision     integer NOT NULL DEFAULT 1,
    channel      text NOT NULL,
    kind         text,
    occurred_at  timestamptz,
    received_at  timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    contact      text,
    author_name  text,
    identifiers  jsonb,
    thread       text,
    in_reply_to  text,
    subject      text,
    body         text NOT NULL,
    language     text,
    sentiment    double precision,
    metric       text,
    score        double precision,
    scores       jsonb,
    attributes   jsonb,
    department   text,
    status       text NOT NULL DEFAULT 'received',
    UNIQUE (tenant, submission, field)
);

-- What is still to be done for a record, written with it.
CREATE TABLE outbox (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feedback  uuid NOT NULL,
    tenant    text NOT NULL,
    event     text NOT NULL,
    attempts  integer NOT NULL DEFAULT 0,
    due_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_due ON outbox (due_at);

-- Twenty secondary indexes: what lists, filters and reports ask for. All are B-trees, the cheapest kind to keep.
CREATE INDEX feedback_received ON feedback (tenant, received_at DESC, id DESC);
CREATE INDEX feedback_occurred ON feedback (tenant, occurred_at DESC);
CREATE INDEX feedback_updated ON feedback (tenant, updated_at);
CREATE INDEX feedback_instance ON feedback (tenant, instance, received_at DESC);
CREATE INDEX feedback_channel ON feedback (tenant, channel, received_at DESC);
CREATE INDEX feedback_kind ON feedback (tenant, kind, received_at DESC);
CREATE INDEX feedback_kind_channel ON feedback (tenant, kind, channel, occurred_at DESC);
CREATE INDEX feedback_contact ON feedback (tenant, contact, received_at DESC);
CREATE INDEX feedback_language ON feedback (tenant, language, received_at DESC);
CREATE INDEX feedback_field ON feedback (tenant, field, received_at DESC);
CREATE INDEX feedback_submission ON feedback (tenant, submission);
CREATE INDEX feedback_thread ON feedback (tenant, thread);
CREATE INDEX feedback_reply ON feedback (tenant, in_reply_to);
CREATE INDEX feedback_metric ON feedback (tenant, metric, received_at DESC);
CREATE INDEX feedback_score ON feedback (tenant, metric, score);
CREATE INDEX feedback_sentiment ON feedback (tenant, sentiment);
CREATE INDEX feedback_department ON feedback (tenant, department, received_at DESC);
CREATE INDEX feedback_status ON feedback (tenant, status, received_at DESC);
CREATE INDEX feedback_author ON feedback (tenant, author_name);
CREATE INDEX feedback_subject ON feedback (tenant, subject);
