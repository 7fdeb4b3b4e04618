// format("aws-kinesis"): the columns of the awslabs connector (KinesisClientFactory.kinesisSchema, November 2026).
package eventlake.standin;

import org.apache.spark.sql.types.StructType;

public class AwsKinesis extends ConnectorStandIn {
  public String shortName() {
    return "aws-kinesis";
  }

  String prefix() {
    return "kinesis.";
  }

  StructType columns() {
    return new StructType()
        .add("data", "binary")
        .add("streamName", "string")
        .add("partitionKey", "string")
        .add("sequenceNumber", "string")
        .add("approximateArrivalTimestamp", "timestamp");
  }
}
