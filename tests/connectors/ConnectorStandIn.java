// What event-lake's tests have in place of a connector of AWS: a streaming source of Spark's second API, as the awslabs
// connector is one, with its columns, the form of its offsets and its bounds, over files. Compiled by connector_stand_in.py
// with Janino, which Spark brings: no generics, no lambdas, no annotations.
//
// The folder that is the stream is the endpoint's URL (file:...). It holds a file for each micro-batch, 0.records,
// 1.records, ...; a line is a record: shard, sequence number, partition key, arrival in microseconds, data in base64.
// What it was asked for it notes there: options.log has the options of each start, reads.log the micro-batch of
// each partition that was opened.
package eventlake.standin;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.net.URI;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.catalog.SupportsRead;
import org.apache.spark.sql.connector.catalog.Table;
import org.apache.spark.sql.connector.catalog.TableCapability;
import org.apache.spark.sql.connector.catalog.TableProvider;
import org.apache.spark.sql.connector.expressions.Transform;
import org.apache.spark.sql.connector.read.InputPartition;
import org.apache.spark.sql.connector.read.PartitionReader;
import org.apache.spark.sql.connector.read.PartitionReaderFactory;
import org.apache.spark.sql.connector.read.Scan;
import org.apache.spark.sql.connector.read.ScanBuilder;
import org.apache.spark.sql.connector.read.streaming.MicroBatchStream;
import org.apache.spark.sql.connector.read.streaming.Offset;
import org.apache.spark.sql.connector.read.streaming.ReadLimit;
import org.apache.spark.sql.connector.read.streaming.SupportsAdmissionControl;
import org.apache.spark.sql.sources.DataSourceRegister;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.CaseInsensitiveStringMap;
import org.apache.spark.unsafe.types.UTF8String;

public abstract class ConnectorStandIn implements TableProvider, DataSourceRegister {
  abstract String prefix();

  abstract StructType columns();

  public StructType inferSchema(CaseInsensitiveStringMap options) {
    return columns();
  }

  public Table getTable(StructType schema, Transform[] partitioning, Map properties) {
    Stream stream = new Stream(prefix(), schema, properties);
    stream.note("options.log", new TreeMap(properties).toString());
    return stream;
  }
}

class Stream implements SupportsRead, ScanBuilder, Scan {
  final String name;
  final String folder;
  final StructType schema;

  Stream(String prefix, StructType schema, Map properties) {
    CaseInsensitiveStringMap options = new CaseInsensitiveStringMap(properties);
    String arn = options.get(prefix + "streamARN");
    this.name = arn == null ? options.get(prefix + "streamName") : arn.substring(arn.indexOf('/') + 1);
    this.folder = options.get(prefix + "endpointUrl");
    this.schema = schema;
  }

  Path path(String file) {
    return Paths.get(URI.create(folder)).resolve(file);
  }

  synchronized void note(String file, String line) {
    try {
      OpenOption[] append = new OpenOption[] {StandardOpenOption.CREATE, StandardOpenOption.APPEND};
      Files.write(path(file), (line + "\n").getBytes(StandardCharsets.UTF_8), append);
    } catch (IOException error) {
      throw new RuntimeException(error);
    }
  }

  List lines(long batch) {
    try {
      return Files.readAllLines(path(batch + ".records"), StandardCharsets.UTF_8);
    } catch (IOException error) {
      throw new RuntimeException(error);
    }
  }

  public String name() {
    return "stand-in of " + name;
  }

  public StructType schema() {
    return schema;
  }

  public Set capabilities() {
    return Collections.singleton(TableCapability.MICRO_BATCH_READ);
  }

  public ScanBuilder newScanBuilder(CaseInsensitiveStringMap options) {
    return this;
  }

  public Scan build() {
    return this;
  }

  public StructType readSchema() {
    return schema;
  }

  public MicroBatchStream toMicroBatchStream(String checkpointLocation) {
    return new MicroBatches(this);
  }
}

class MicroBatches implements MicroBatchStream, SupportsAdmissionControl {
  private static final Pattern BATCH_ID = Pattern.compile("\"batchId\":\"(-?[0-9]+)\"");
  private final Stream stream;

  MicroBatches(Stream stream) {
    this.stream = stream;
  }

  public Offset initialOffset() {
    return new At(stream.name, -1L);
  }

  public Offset deserializeOffset(String json) {
    Matcher found = BATCH_ID.matcher(json);
    if (!found.find()) throw new IllegalArgumentException(json);
    return new At(stream.name, Long.parseLong(found.group(1)));
  }

  public Offset latestOffset() {
    throw new UnsupportedOperationException("latestOffset(Offset, ReadLimit) should be called instead of this method");
  }

  public Offset latestOffset(Offset start, ReadLimit limit) {
    long next = ((At) start).batch + 1L;
    return Files.exists(stream.path(next + ".records")) ? new At(stream.name, next) : start;
  }

  public InputPartition[] planInputPartitions(Offset start, Offset end) {
    long batch = ((At) end).batch;
    if (batch == ((At) start).batch) return new InputPartition[0];
    Set shards = new TreeSet();
    for (Iterator lines = stream.lines(batch).iterator(); lines.hasNext(); ) {
      shards.add(((String) lines.next()).split("\t")[0]);
    }
    InputPartition[] partitions = new InputPartition[shards.size()];
    int count = 0;
    for (Iterator each = shards.iterator(); each.hasNext(); ) {
      partitions[count++] = new ShardRange(stream.name, stream.folder, batch, (String) each.next());
    }
    return partitions;
  }

  public PartitionReaderFactory createReaderFactory() {
    return new Readers(stream.schema);
  }

  public void commit(Offset end) {}

  public void stop() {}
}

class At extends Offset {
  private final String stream;
  final long batch;

  At(String stream, long batch) {
    this.stream = stream;
    this.batch = batch;
  }

  public String json() {
    return "{\"metadata\":{\"streamName\":\"" + stream + "\",\"batchId\":\"" + batch + "\"}}";
  }
}

class ShardRange implements InputPartition {
  final String stream;
  final String folder;
  final long batch;
  final String shard;

  ShardRange(String stream, String folder, long batch, String shard) {
    this.stream = stream;
    this.folder = folder;
    this.batch = batch;
    this.shard = shard;
  }
}

class Readers implements PartitionReaderFactory {
  private final StructType schema;

  Readers(StructType schema) {
    this.schema = schema;
  }

  public PartitionReader createReader(InputPartition partition) {
    return new Records(schema, (ShardRange) partition);
  }
}

class Records implements PartitionReader {
  private final StructType schema;
  private final ShardRange range;
  private final Iterator records;
  private String[] record;

  Records(StructType schema, ShardRange range) {
    Map options = new TreeMap();
    options.put("endpointUrl", range.folder);
    options.put("streamName", range.stream);
    Stream stream = new Stream("", schema, options);
    stream.note("reads.log", range.batch + " " + range.shard);
    List own = new ArrayList();
    for (Iterator lines = stream.lines(range.batch).iterator(); lines.hasNext(); ) {
      String[] fields = ((String) lines.next()).split("\t", -1);
      if (fields[0].equals(range.shard)) own.add(fields);
    }
    this.schema = schema;
    this.range = range;
    this.records = own.iterator();
  }

  public boolean next() {
    if (!records.hasNext()) return false;
    record = (String[]) records.next();
    return true;
  }

  public Object get() {
    String[] names = schema.fieldNames();
    Object[] row = new Object[names.length];
    for (int at = 0; at < names.length; at++) row[at] = value(names[at]);
    return new GenericInternalRow(row);
  }

  private Object value(String name) {
    if (name.equals("data")) return Base64.getDecoder().decode(record[4]);
    if (name.equals("streamName")) return UTF8String.fromString(range.stream);
    if (name.equals("sequenceNumber")) return UTF8String.fromString(record[1]);
    if (name.equals("partitionKey")) return UTF8String.fromString(record[2]);
    return Long.valueOf(Long.parseLong(record[3]));
  }

  public void close() {}
}
