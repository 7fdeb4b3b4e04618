name            = "events"
region          = "eu-central-1"
bucket_name     = "my-bucket"
alarm_topic_arn = "arn:aws:sns:eu-central-1:123456789012:pages"

# On EMR Serverless.
maximum_vcpus      = 32
maximum_memory_gb  = 128
subnet_ids         = ["subnet-0aaaaaaaaaaaaaaaa", "subnet-0bbbbbbbbbbbbbbbb"]
security_group_ids = ["sg-0aaaaaaaaaaaaaaaa"]

# On Glue instead: without the four above, and the file from the second step on (README.md).
# platform          = "glue"
# glue_request_file = "glue-job.json"
