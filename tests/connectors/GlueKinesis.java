// format("kinesis"), as Glue has it: closed, so these columns are what qubole's kinesis-sql has, from which its options
// come, and the one column that Glue's documentation names.
package eventlake.standin;

import org.apache.spark.sql.types.StructType;

public class GlueKinesis extends ConnectorStandIn {
  public String shortName() {
    return "kinesis";
  }

  String prefix() {
    return "";
  }

  StructType columns() {
    return new StructType()
        .add("data", "binary")
        .add("streamName", "string")
        .add("partitionKey", "string")
        .add("sequenceNumber", "string")
        .add("__src_timestamp", "timestamp");
  }
}
