/* Users and items as 8-bit codes and as float32 rows in, each user's k best unseen items out; called by scan.py.
 *
 * A first pass multiplies codes, which are exact integers, 8 users by 32 items at a time, and keeps what may be among a
 * user's k best: for rows a and their decoded codes â
 *
 *     |a_u·a_i − â_u·â_i|  ≤  ‖a_u‖ ‖a_i − â_i‖ + ‖a_u − â_u‖ ‖â_i‖        (Cauchy–Schwarz)
 *
 * so an item is out as soon as k others are known to score more, whatever was lost in coding. What is left is scored
 * from the float32 rows, in double, and sorted. No thread, no allocation, no library: pure functions of their arguments.
 */
#include <stdint.h>

#define INFINITY __builtin_inf()

enum { TILE_USERS = 8, TILE_ITEMS = 32, PANEL = 16, LANES = 8, AHEAD = 8 };
enum { OVERFLOWN = -2, NOTHING = -1 };
enum { KIND_AVX2 = 1, KIND_VNNI = 2, KIND_DOTPROD = 3 }; /* as scan.py knows them */

/* Items, largest norm first, in blocks. A panel holds 16 items: for every 4 dimensions, 4 codes of each. */
typedef struct {
    int64_t n_items, n_dims, n_quads, n_blocks, block_items;
    const float *rows;         /* (n_items, n_dims), by item row */
    const int32_t *item_rows;  /* item row of every place */
    const uint8_t *codes;      /* panels, padded to whole tiles */
    const double *step;        /* of every block: what one unit of a code is worth */
    const double *lost;        /* largest norm of what coding lost */
    const double *kept;        /* largest norm of what it kept */
    const double *largest;     /* largest norm */
} Items;

/* Users: the same per user. Seen items are places, ascending, as CSR. */
typedef struct {
    int64_t n_users;
    const float *rows;
    const int8_t *codes;  /* padded to whole tiles */
    const double *step, *lost, *norm;
    const int32_t *shift; /* what the product of codes has too much, as codes of items are not negative */
    const int64_t *seen_from;
    const int32_t *seen;
} Users;

/* What is known of one user's best: a heap of the k highest lower bounds, and all that may still be among the k. */
typedef struct {
    double *lows, *highs;
    int32_t *places;
    double kth; /* the k-th best scores at least this */
    int64_t n_lows, n, cursor;
} Best;

/* One tile: products of 8 users and 32 items; bit j of hits[u] where that of item j reaches floors[u]. Rows of products
 * without a hit are left alone. Returns whether there is any hit. */
typedef int (*Tile)(const int8_t *users, const uint8_t *items, int64_t n_quads, const int32_t *floors, uint32_t *hits,
                    int32_t *products);

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

static inline int32_t quad(const int8_t *codes)
{
    int32_t four;
    __builtin_memcpy(&four, codes, 4);
    return four;
}

/* Pairs are added in 16 bits: users' codes have to stay within ±63. */
__attribute__((target("avx2"))) static int tile_avx2(const int8_t *users, const uint8_t *items, int64_t n_quads,
                                                     const int32_t *floors, uint32_t *hits, int32_t *products)
{
    const __m256i ones = _mm256_set1_epi16(1);
    uint32_t any = 0;
    for (int half = 0; half < TILE_USERS; half += 4) {
        uint32_t hit[4] = {0, 0, 0, 0};
        __m256i low[2][4], high[2][4];
        for (int p = 0; p < 2; p++) {
            const uint8_t *panel = items + p * n_quads * PANEL * 4;
            __m256i a[4], b[4];
            for (int u = 0; u < 4; u++)
                a[u] = b[u] = _mm256_setzero_si256();
            for (int64_t q = 0; q < n_quads; q++) {
                const __m256i left = _mm256_loadu_si256((const void *)(panel + q * 64));
                const __m256i right = _mm256_loadu_si256((const void *)(panel + q * 64 + 32));
                for (int u = 0; u < 4; u++) {
                    const __m256i x = _mm256_set1_epi32(quad(users + ((half + u) * n_quads + q) * 4));
                    a[u] = _mm256_add_epi32(a[u], _mm256_madd_epi16(_mm256_maddubs_epi16(left, x), ones));
                    b[u] = _mm256_add_epi32(b[u], _mm256_madd_epi16(_mm256_maddubs_epi16(right, x), ones));
                }
            }
            for (int u = 0; u < 4; u++) {
                const __m256i less = _mm256_set1_epi32(floors[half + u]);
                const int out_a = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(less, a[u])));
                const int out_b = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(less, b[u])));
                hit[u] |= (uint32_t)(0xffff ^ (out_a | out_b << 8)) << (PANEL * p);
                low[p][u] = a[u], high[p][u] = b[u];
            }
        }
        for (int u = 0; u < 4; u++) {
            any |= hits[half + u] = hit[u];
            if (hit[u])
                for (int p = 0; p < 2; p++) {
                    int32_t *row = products + (half + u) * TILE_ITEMS + PANEL * p;
                    _mm256_storeu_si256((void *)row, low[p][u]);
                    _mm256_storeu_si256((void *)(row + 8), high[p][u]);
                }
        }
    }
    return any != 0;
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) static int
tile_vnni(const int8_t *users, const uint8_t *items, int64_t n_quads, const int32_t *floors, uint32_t *hits,
          int32_t *products)
{
    const uint8_t *second = items + n_quads * PANEL * 4;
    __m512i a[TILE_USERS], b[TILE_USERS];
    for (int u = 0; u < TILE_USERS; u++)
        a[u] = b[u] = _mm512_setzero_si512();
    for (int64_t q = 0; q < n_quads; q++) {
        const __m512i left = _mm512_loadu_si512(items + q * 64), right = _mm512_loadu_si512(second + q * 64);
        for (int u = 0; u < TILE_USERS; u++) {
            const __m512i x = _mm512_set1_epi32(quad(users + (u * n_quads + q) * 4));
            a[u] = _mm512_dpbusd_epi32(a[u], left, x);
            b[u] = _mm512_dpbusd_epi32(b[u], right, x);
        }
    }
    uint32_t any = 0;
    for (int u = 0; u < TILE_USERS; u++) {
        const __m512i floor = _mm512_set1_epi32(floors[u]);
        hits[u] = _mm512_cmpge_epi32_mask(a[u], floor) | (uint32_t)_mm512_cmpge_epi32_mask(b[u], floor) << PANEL;
        any |= hits[u];
    }
    if (!any)
        return 0;
    for (int u = 0; u < TILE_USERS; u++) {
        _mm512_storeu_si512(products + u * TILE_ITEMS, a[u]);
        _mm512_storeu_si512(products + u * TILE_ITEMS + PANEL, b[u]);
    }
    return 1;
}

/* 2 with AVX-512 VNNI, 1 with AVX2, 0 with neither: what CPU and operating system both have (Intel SDM, CPUID, XGETBV). */
static int x86_level(void)
{
    uint32_t a, b, c, d, saved, ignored;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return 0;
    __asm__("xgetbv" : "=a"(saved), "=d"(ignored) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (saved & 0x06) != 0x06 || !(b & bit_AVX2))
        return 0;
    return (saved & 0xe6) == 0xe6 && (b & bit_AVX512F) && (b & bit_AVX512BW) && (c & bit_AVX512VNNI) ? 2 : 1;
}
#elif defined(__aarch64__)
#include <arm_neon.h>

#if defined(__linux__)
enum { AT_HWCAP = 16, HWCAP_ASIMDDP = 1 << 20 }; /* linux/auxvec.h, asm/hwcap.h */
unsigned long getauxval(unsigned long type);

static int has_dotprod(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}
#else
static int has_dotprod(void)
{
    return 1; /* Apple's have it, all of them */
}
#endif


static int compare(const int32_t *products, const int32_t *floors, uint32_t *hits)
{
    uint32_t any = 0;
    for (int u = 0; u < TILE_USERS; u++) {
        hits[u] = 0;
        for (int i = 0; i < TILE_ITEMS; i++)
            hits[u] |= (uint32_t)(products[u * TILE_ITEMS + i] >= floors[u]) << i;
        any |= hits[u];
    }
    return any != 0;
}

/* Codes of items are signed here. */
__attribute__((target("dotprod"))) static int tile_dotprod(const int8_t *users, const uint8_t *items, int64_t n_quads,
                                                       const int32_t *floors, uint32_t *hits, int32_t *products)
{
    for (int half = 0; half < TILE_USERS; half += 4)
        for (int p = 0; p < 2; p++) {
            const int8_t *panel = (const int8_t *)items + p * n_quads * PANEL * 4;
            int32x4_t sum[4][4];
            for (int u = 0; u < 4; u++)
                for (int v = 0; v < 4; v++)
                    sum[u][v] = vdupq_n_s32(0);
            for (int64_t q = 0; q < n_quads; q++) {
                int8x16_t item[4];
                for (int v = 0; v < 4; v++)
                    item[v] = vld1q_s8(panel + q * 64 + v * 16);
                for (int u = 0; u < 4; u++) {
                    const int8_t *codes = users + ((half + u) * n_quads + q) * 4;
                    const int8x16_t x = vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)codes));
                    for (int v = 0; v < 4; v++)
                        sum[u][v] = vdotq_s32(sum[u][v], item[v], x);
                }
            }
            for (int u = 0; u < 4; u++)
                for (int v = 0; v < 4; v++)
                    vst1q_s32(products + (half + u) * TILE_ITEMS + p * PANEL + v * 4, sum[u][v]);
        }
    return compare(products, floors, hits);
}
#endif

/* The kind of tile of this number, NULL where it is not of this CPU. */
static Tile tile_of(int64_t kind)
{
#if defined(__x86_64__)
    const int level = x86_level();
    return kind == KIND_VNNI && level == 2 ? tile_vnni : kind == KIND_AVX2 && level ? tile_avx2 : 0;
#elif defined(__aarch64__)
    return kind == KIND_DOTPROD && has_dotprod() ? tile_dotprod : 0;
#else
    (void)kind;
    return 0;
#endif
}

/* a·b. Products of float32 are exact in double, so that only the order of the sum matters: topx.score_pairs adds in this one. */
static double score(const float *a, const float *b, int64_t n)
{
    double lane[LANES] = {0};
    int64_t d = 0;
    for (; d + LANES <= n; d += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += (double)a[d + l] * b[d + l];
    for (int l = 0; d + l < n; l++)
        lane[l] += (double)a[d + l] * b[d + l];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void push_low(Best *best, double low, int64_t k)
{
    double *heap = best->lows;
    int64_t at = 0;
    if (best->n_lows < k) {
        for (at = best->n_lows++; at && heap[(at - 1) / 2] > low; at = (at - 1) / 2)
            heap[at] = heap[(at - 1) / 2];
    } else {
        if (low <= heap[0])
            return;
        for (int64_t child = 1; child < k; at = child, child = 2 * child + 1) {
            child += child + 1 < k && heap[child + 1] < heap[child];
            if (heap[child] >= low)
                break;
            heap[at] = heap[child];
        }
    }
    heap[at] = low;
    if (best->n_lows == k)
        best->kth = heap[0];
}

static void forget_hopeless(Best *best)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < best->n; i++)
        if (best->highs[i] >= best->kth) {
            best->highs[kept] = best->highs[i];
            best->places[kept++] = best->places[i];
        }
    best->n = kept;
}

static double doubt(const Items *items, const Users *users, int64_t user, int64_t block)
{
    return users->norm[user] * items->lost[block] + users->lost[user] * items->kept[block];
}

/* The least product of codes with which an item of the block may be among the user's k best, or one less. */
static int32_t floor_of(const Items *items, const Users *users, int64_t user, int64_t block, const Best *best)
{
    if (best->n < 0 || users->norm[user] * items->largest[block] < best->kth)
        return INT32_MAX;
    if (best->kth == -INFINITY)
        return INT32_MIN;
    const double unit = users->step[user] * items->step[block];
    const double least = (best->kth - doubt(items, users, user, block)) / unit + users->shift[user] - 2;
    return least <= INT32_MIN ? INT32_MIN : least >= INT32_MAX ? INT32_MAX : (int32_t)least;
}

/* Take in the items of one user's hits in a tile that begins at `first`. */
static void take(const Items *items, const Users *users, int64_t user, int64_t block, int64_t first, uint32_t hits,
                 const int32_t *products, int64_t k, int64_t capacity, Best *best)
{
    const double unit = users->step[user] * items->step[block], error = doubt(items, users, user, block);
    const int32_t *seen = users->seen + users->seen_from[user];
    const int64_t n_seen = users->seen_from[user + 1] - users->seen_from[user];
    for (; hits; hits &= hits - 1) {
        const int64_t at = __builtin_ctz(hits), place = first + at;
        const double middle = unit * (products[at] - users->shift[user]);
        if (place >= items->n_items || middle + error < best->kth)
            continue;
        while (best->cursor < n_seen && seen[best->cursor] < place)
            best->cursor++;
        if (best->cursor < n_seen && seen[best->cursor] == place)
            continue;
        if (best->n == capacity) {
            forget_hopeless(best);
            if (best->n > capacity - capacity / 8) { /* scores tie by the hundred: not worth bounding */
                best->n = -1;
                return;
            }
        }
        best->highs[best->n] = middle + error;
        best->places[best->n++] = (int32_t)place;
        push_low(best, middle - error, k);
    }
}

/* Have an item's row in the cache by the time it is scored. */
static void fetch(const Items *items, int32_t place)
{
    const float *row = items->rows + (int64_t)items->item_rows[place] * items->n_dims;
    for (int64_t d = 0; d < items->n_dims; d += 16)
        __builtin_prefetch(row + d);
}

/* Score what is left of one user's items and put the k best, by (−score, item row), into the user's row. */
static void finish(const Items *items, const float *user, Best *best, int64_t k, int32_t *rows, double *scores)
{
    int64_t n = 0;
    forget_hopeless(best);
    for (int64_t i = 0; i < best->n; i++) {
        const int32_t row = items->item_rows[best->places[i]];
        if (i + AHEAD < best->n)
            fetch(items, best->places[i + AHEAD]);
        const double s = score(user, items->rows + (int64_t)row * items->n_dims, items->n_dims);
        if (n == k && (s < scores[k - 1] || (s == scores[k - 1] && row > rows[k - 1])))
            continue;
        int64_t at = n < k ? n++ : k - 1;
        for (; at && (scores[at - 1] < s || (scores[at - 1] == s && rows[at - 1] > row)); at--) {
            scores[at] = scores[at - 1];
            rows[at] = rows[at - 1];
        }
        scores[at] = s;
        rows[at] = row;
    }
    for (; n < k; n++) {
        rows[n] = NOTHING;
        scores[n] = -INFINITY;
    }
}

static void scan_block(const Items *items, const Users *users, int64_t from, int64_t n, int64_t block, Tile tile,
                       int64_t k, int64_t capacity, Best *best)
{
    int32_t products[TILE_USERS * TILE_ITEMS], floors[TILE_USERS];
    uint32_t hits[TILE_USERS];
    const int64_t begin = block * items->block_items, stop = begin + items->block_items;
    const int64_t end = stop < items->n_items ? stop : items->n_items, width = items->n_quads * 4;
    for (int64_t t = 0; t < n; t += TILE_USERS) {
        int32_t least = INT32_MAX;
        for (int u = 0; u < TILE_USERS; u++) {
            floors[u] = t + u < n ? floor_of(items, users, from + t + u, block, best + t + u) : INT32_MAX;
            least = floors[u] < least ? floors[u] : least;
        }
        if (least == INT32_MAX)
            continue;
        for (int64_t i = begin; i < end; i += TILE_ITEMS) {
            if (!tile(users->codes + (from + t) * width, items->codes + i * width, items->n_quads, floors, hits, products))
                continue;
            for (int u = 0; u < TILE_USERS; u++)
                if (hits[u] && floors[u] != INT32_MAX) {
                    take(items, users, from + t + u, block, i, hits[u], products + u * TILE_ITEMS, k, capacity, best + t + u);
                    floors[u] = floor_of(items, users, from + t + u, block, best + t + u);
                }
        }
    }
}

/* Whether this CPU can make this kind of tile. */
int64_t has_tile(int64_t kind)
{
    return tile_of(kind) != 0;
}

int64_t workspace_bytes(int64_t chunk, int64_t k, int64_t capacity)
{
    return chunk * ((int64_t)sizeof(Best) + (k + capacity) * 8 + (capacity + 1) / 2 * 8);
}

/* Rank users [from, to), `chunk` of them at a time, into their rows of `rows` and `scores` (n_users, k). A row that
 * begins with OVERFLOWN has to be ranked in another way. `workspace`: workspace_bytes, aligned to 8. */
void rank_unseen(const Items *items, const Users *users, int64_t kind, int64_t from, int64_t to, int64_t chunk, int64_t k,
                 int64_t capacity, void *workspace, int32_t *rows, double *scores)
{
    const Tile tile = tile_of(kind);
    Best *best = workspace;
    double *free = (double *)(best + chunk);
    for (int64_t u = 0; u < chunk; u++) {
        best[u].lows = free, free += k;
        best[u].highs = free, free += capacity;
        best[u].places = (int32_t *)free, free += (capacity + 1) / 2;
    }
    for (; from < to; from += chunk) {
        const int64_t n = to - from < chunk ? to - from : chunk;
        for (int64_t u = 0; u < n; u++)
            best[u].kth = -INFINITY, best[u].n_lows = best[u].n = best[u].cursor = 0;
        for (int64_t block = 0; block < items->n_blocks; block++)
            scan_block(items, users, from, n, block, tile, k, capacity, best);
        for (int64_t u = 0; u < n; u++) {
            int32_t *own = rows + (from + u) * k;
            if (best[u].n < 0)
                own[0] = OVERFLOWN;
            else
                finish(items, users->rows + (from + u) * items->n_dims, best + u, k, own, scores + (from + u) * k);
        }
    }
}
