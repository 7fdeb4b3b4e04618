name        = "events-trial"
region      = "eu-central-1"
bucket_name = "my-bucket"

# EMR Serverless reaches Kinesis only from a VPC.
subnet_ids         = ["subnet-0aaaaaaaaaaaaaaaa"]
security_group_ids = ["sg-0aaaaaaaaaaaaaaaa"]
