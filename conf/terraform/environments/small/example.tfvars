name        = "events-trial"
region      = "eu-central-1"
bucket_name = "my-bucket"
