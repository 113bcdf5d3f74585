package imagesearch;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.net.InetAddress;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import java.util.function.Supplier;
import org.elasticsearch.TransportVersion;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.network.NetworkService;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.Setting;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.transport.BoundTransportAddress;
import org.elasticsearch.common.transport.TransportAddress;
import org.elasticsearch.common.util.BigArrays;
import org.elasticsearch.common.util.PageCacheRecycler;
import org.elasticsearch.common.util.concurrent.ThreadContext;
import org.elasticsearch.http.HttpPreRequest;
import org.elasticsearch.http.HttpRouteStats;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.indices.breaker.CircuitBreakerService;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.telemetry.TelemetryProvider;
import org.elasticsearch.threadpool.ThreadPool;
import org.elasticsearch.transport.Transport;
import org.elasticsearch.transport.netty4.Netty4Plugin;
import org.elasticsearch.transport.netty4.Netty4Transport;
import org.elasticsearch.transport.netty4.SharedGroupFactory;
import org.elasticsearch.xcontent.NamedXContentRegistry;

/**
 * Elasticsearch's HTTP over Netty, for clients that know the secret of this start only, and without a port for other
 * nodes. See docs/elasticsearch.md.
 */
public class GuardedNetwork extends Netty4Plugin {
    /** The secret. Elasticsearch shows filtered settings to nobody. */
    static final Setting<String> TOKEN =
            Setting.simpleString("image_search.token", Setting.Property.NodeScope, Setting.Property.Filtered);

    @Override
    public List<Setting<?>> getSettings() {
        List<Setting<?>> all = new ArrayList<>(super.getSettings());
        all.add(TOKEN);
        return all;
    }

    @Override
    public Map<String, Supplier<HttpServerTransport>> getHttpTransports(
            Settings settings,
            ThreadPool threadPool,
            BigArrays bigArrays,
            PageCacheRecycler recycler,
            CircuitBreakerService breakers,
            NamedXContentRegistry contents,
            NetworkService network,
            HttpServerTransport.Dispatcher dispatcher,
            BiConsumer<HttpPreRequest, ThreadContext> threadContext,
            ClusterSettings clusterSettings,
            TelemetryProvider telemetry) {
        Guard guard = new Guard(dispatcher, TOKEN.get(settings), settings.getAsInt("http.port", 0));
        return super.getHttpTransports(settings, threadPool, bigArrays, recycler, breakers, contents, network, guard,
                threadContext, clusterSettings, telemetry);
    }

    @Override
    public Map<String, Supplier<Transport>> getTransports(
            Settings settings,
            ThreadPool threadPool,
            PageCacheRecycler recycler,
            CircuitBreakerService breakers,
            NamedWriteableRegistry writeables,
            NetworkService network) {
        Map<String, Supplier<Transport>> all = new HashMap<>();
        all.put(NETTY_TRANSPORT_NAME,
                () -> new ClosedTransport(settings, threadPool, network, recycler, writeables, breakers));
        return all;
    }

    /** Passes a request on to Elasticsearch if it comes from a program that knows the secret. */
    static final class Guard implements HttpServerTransport.Dispatcher {
        private final HttpServerTransport.Dispatcher elasticsearch;
        private final byte[] credentials;
        private final Set<String> hosts;

        Guard(HttpServerTransport.Dispatcher elasticsearch, String token, int port) {
            if (token.length() < 32 || port == 0) {
                throw new IllegalArgumentException("image_search.token and http.port have to be set");
            }
            this.elasticsearch = elasticsearch;
            this.credentials = ("Basic " + Base64.getEncoder().encodeToString(("es:" + token).getBytes(UTF_8))).getBytes(UTF_8);
            this.hosts = Set.of("127.0.0.1:" + port, "localhost:" + port);
        }

        @Override
        public void dispatchRequest(RestRequest request, RestChannel channel, ThreadContext context) {
            if (admits(request, channel)) {
                elasticsearch.dispatchRequest(request, channel, context);
            }
        }

        @Override
        public void dispatchBadRequest(RestChannel channel, ThreadContext context, Throwable cause) {
            if (admits(channel.request(), channel)) {
                elasticsearch.dispatchBadRequest(channel, context, cause);
            }
        }

        @Override
        public Map<String, HttpRouteStats> getStats() {
            return elasticsearch.getStats();
        }

        private boolean admits(RestRequest request, RestChannel channel) {
            if (isFromWebPage(request) || !hosts.contains(only("Host", request))) {
                refuse(channel, RestStatus.FORBIDDEN, "requests of web pages, and for other hosts, are refused");
                return false;
            }
            if (!MessageDigest.isEqual(credentials, only("Authorization", request).getBytes(UTF_8))) {
                refuse(channel, RestStatus.UNAUTHORIZED, "the token of this start of the node is missing or wrong");
                return false;
            }
            return true;
        }

        /** Browsers add at least one of these headers to what a page of another origin asks for. */
        private static boolean isFromWebPage(RestRequest request) {
            String site = request.header("Sec-Fetch-Site");
            return request.header("Origin") != null || site != null && !site.equals("none");
        }

        /** Returns the value of a header that is there once, and else an empty text. */
        private static String only(String name, RestRequest request) {
            List<String> values = request.getAllHeaderValues(name);
            return values != null && values.size() == 1 ? values.get(0) : "";
        }

        private static void refuse(RestChannel channel, RestStatus status, String reason) {
            String cause = "{\"type\":\"security_exception\",\"reason\":\"" + reason + "\"";
            String body = "{\"error\":" + cause + ",\"root_cause\":[" + cause + "}]},\"status\":" + status.getStatus() + "}";
            channel.sendResponse(new RestResponse(status, "application/json", body));
        }
    }

    /** A transport without a port. The one node of the cluster speaks to itself without one. */
    static final class ClosedTransport extends Netty4Transport {
        private final BoundTransportAddress nowhere;

        ClosedTransport(
                Settings settings,
                ThreadPool threadPool,
                NetworkService network,
                PageCacheRecycler recycler,
                NamedWriteableRegistry writeables,
                CircuitBreakerService breakers) {
            super(settings, TransportVersion.current(), threadPool, network, recycler, writeables, breakers,
                    new SharedGroupFactory(settings));
            TransportAddress address = new TransportAddress(InetAddress.getLoopbackAddress(), 0);
            nowhere = new BoundTransportAddress(new TransportAddress[] {address}, address);
        }

        @Override
        protected void bindServer(ProfileSettings profile) {}

        @Override
        public BoundTransportAddress boundAddress() {
            return nowhere;
        }
    }
}
