/* Users' purchases and some listed items in; the purchase that adds most to each item's score, and what purchases, features
 * and the pull of what is unobserved add to it, out; called by explain.py, where the parts are derived.
 *
 * What a purchase adds is at most its reach, what is missing of it times its length, times the length of the item's row
 * (Cauchy–Schwarz). So purchases are met in bands of falling reach until no other can be any item's best. Sums run over the
 * dimensions in one order and every product is rounded (-ffp-contract=off): numpy gives the same bits. No thread, no
 * allocation, no library.
 */
#include <stdint.h>

#define INFINITY __builtin_inff()

enum { WIDTH = 8, VECTORS = 3, COLUMNS = WIDTH * VECTORS, ROWS = 3, NOTHING = -1 };

typedef float Lanes __attribute__((vector_size(4 * WIDTH)));
typedef int32_t Marks __attribute__((vector_size(4 * WIDTH)));

#if defined(__x86_64__)
#define FAST __attribute__((target("avx2"))) /* where scan.c has a tile, too */
#else
#define FAST
#endif

/* Rows are in the basis in which the shared part of all users' systems is diagonal, and padded to whole vectors. */
typedef struct {
    int64_t n_dims;
    const float *rows;   /* (n_items, n_dims) */
    const float *spans;  /* (n_items, 2): Euclidean length times `wanted`, and squared; rounded up */
    const float *wanted; /* (n_items), what a purchase's product with the user's row should be */
    const float *shared; /* (n_dims), that diagonal */
    const float *pull;   /* (n_dims) */
} Items;

typedef struct {
    int64_t n_places;
    const int64_t *from; /* (n_users + 1), purchases as CSR */
    const int32_t *bought;
    const float *weight;
    const float *strength; /* (n_users), what is added to the diagonal */
    const float *own;      /* (n_users, n_dims), rows in that basis */
    const float *length;   /* (n_users), of these, Euclidean, rounded up */
    const float *prior;    /* as `own` */
    const int32_t *listed; /* (n_users, n_places), items or NOTHING */
} Users;

/* Columns: the user's own row, then listed items' rows, divided by the user's diagonal; n in all. Of each item its place, its
 * row's squared length, the best purchase and what that adds. */
typedef struct {
    float *rows; /* (n_dims, COLUMNS) */
    int64_t n, places[COLUMNS];
    Lanes squares[VECTORS], adds[VECTORS];
    Marks purchase[VECTORS];
} Panel;

FAST static inline void multiply(const float *const *rows, const float *panel, int64_t n_dims, Lanes out[ROWS][VECTORS])
{
    Lanes sum[ROWS][VECTORS] = {0};
    for (int64_t d = 0; d < n_dims; d++) {
        Lanes column[VECTORS];
        __builtin_memcpy(column, panel + d * COLUMNS, sizeof column);
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < VECTORS; v++)
                sum[r][v] += column[v] * rows[r][d];
    }
    __builtin_memcpy(out, sum, sizeof sum);
}

/* Have an item's row in the cache by the time it is needed. */
static void fetch(const Items *items, int32_t item)
{
    const float *row = items->rows + (int64_t)item * items->n_dims;
    for (int64_t d = 0; d < items->n_dims; d += 16)
        __builtin_prefetch(row + d);
}

/* Let up to ROWS of a user's purchases meet the panel; of equal ones the lower item is the better. */
FAST static void meet(const Items *items, const int32_t *bought, const float *weight, const int32_t *which,
                      int n, Panel *panel)
{
    const float *rows[ROWS];
    Lanes products[ROWS][VECTORS];
    for (int r = 0; r < ROWS; r++)
        rows[r] = items->rows + (int64_t)bought[which[r < n ? r : 0]] * items->n_dims;
    multiply(rows, panel->rows, items->n_dims, products);
    for (int r = 0; r < n; r++) {
        const int32_t item = bought[which[r]];
        const float missing = weight[which[r]] * (items->wanted[item] - products[r][0][0]);
        for (int v = 0; missing > 0 && v < VECTORS; v++) {
            const Lanes adds = products[r][v] * missing, best = panel->adds[v];
            const Marks other = panel->purchase[v];
            const Marks better = (adds > best) | ((adds == best) & (item < other));
            panel->adds[v] = (Lanes)(((Marks)adds & better) | ((Marks)best & ~better));
            panel->purchase[v] = (((Marks){0} + item) & better) | (other & ~better);
        }
    }
}

/* A purchase of less reach is no item's best. */
FAST static float least_reach(const Panel *panel)
{
    Lanes least = (Lanes){0} + INFINITY;
    for (int v = 0; v < VECTORS; v++) {
        const Lanes reach = panel->adds[v] * panel->adds[v] / panel->squares[v];
        const Marks less = (panel->squares[v] > 0) & ~(reach >= least);
        least = (Lanes)(((Marks)reach & less) | ((Marks)least & ~less));
    }
    float of_all = least[0];
    for (int lane = 1; lane < WIDTH; lane++)
        of_all = least[lane] < of_all ? least[lane] : of_all;
    return 0.999f * __builtin_sqrtf(of_all);
}

FAST static void find_best(const Items *items, const int32_t *bought, const float *weight,
                           const float *reach, int32_t *which, int64_t n, Panel *panel)
{
    float low = 0, high = INFINITY;
    for (int64_t j = 0; j < n; j++)
        low = reach[j] > low ? reach[j] : low;
    for (int band = 1; band <= 3; band++) {
        const float least = least_reach(panel), wanted = band < 3 ? low / 2 : 0;
        low = least > wanted ? least : wanted;
        if (!(low < high))
            return;
        int64_t met = 0;
        for (int64_t j = 0; j < n; j++) {
            which[met] = (int32_t)j;
            met += (reach[j] >= low) & (reach[j] < high);
        }
        for (int64_t j = 0; j < met; j++)
            fetch(items, bought[which[j]]);
        for (int64_t j = 0; j < met; j += ROWS)
            meet(items, bought, weight, which + j, met - j < ROWS ? (int)(met - j) : ROWS, panel);
        high = low;
    }
}

/* Lay a user's next listed items, from `place` on, into the panel; returns the place after them. */
static int64_t lay(const Items *items, const Users *users, int64_t user, const float *scale, int64_t place, Panel *panel)
{
    const int32_t *listed = users->listed + user * users->n_places;
    const int64_t n_dims = items->n_dims;
    for (int64_t d = 0; d < n_dims; d++)
        panel->rows[d * COLUMNS] = users->own[user * n_dims + d];
    for (panel->n = 1; place < users->n_places && panel->n < COLUMNS; place++) {
        if (listed[place] == NOTHING)
            continue;
        const float *row = items->rows + listed[place] * n_dims;
        for (int64_t d = 0; d < n_dims; d++)
            panel->rows[d * COLUMNS + panel->n] = row[d] * scale[d];
        panel->places[panel->n++] = place;
    }
    for (int64_t column = panel->n; column < COLUMNS; column++)
        for (int64_t d = 0; d < n_dims; d++)
            panel->rows[d * COLUMNS + column] = 0;
    return place;
}

FAST static void begin(Panel *panel, int64_t n_dims)
{
    for (int v = 0; v < VECTORS; v++) {
        panel->adds[v] = panel->squares[v] = (Lanes){0};
        panel->purchase[v] = (Marks){0} + NOTHING;
        for (int64_t d = 0; d < n_dims; d++) {
            Lanes column;
            __builtin_memcpy(&column, panel->rows + d * COLUMNS + v * WIDTH, sizeof column);
            panel->squares[v] += column * column;
        }
    }
    panel->squares[0][0] = 0; /* the user's own row is no item */
}

int64_t explain_bytes(int64_t n_dims, int64_t most_bought)
{
    return (n_dims * (COLUMNS + 2) + 2 * most_bought) * 4;
}

/* Explain users [from, to): into `named` (n_users, n_places) the item row of the purchase that adds most, NOTHING for none
 * that adds anything; into `parts` (n_users, 3, n_places) what purchases, features and pull add. `workspace`: explain_bytes. */
FAST void explain(const Items *items, const Users *users, int64_t from, int64_t to, float *workspace, int32_t *named, float *parts)
{
    const int64_t n_dims = items->n_dims, n_places = users->n_places;
    Panel panel = {.rows = workspace};
    float *scale = workspace + n_dims * COLUMNS, *whole = scale + n_dims, *reach = whole + n_dims;
    for (int64_t user = from; user < to; user++) {
        const float *own = users->own + user * n_dims, strength = users->strength[user];
        const int32_t *bought = users->bought + users->from[user], *listed = users->listed + user * n_places;
        const float *weight = users->weight + users->from[user];
        const int64_t n = users->from[user + 1] - users->from[user];
        int32_t *which = (int32_t *)(reach + n);
        for (int64_t place = 0; user + 1 < to && place < n_places; place++)
            if (listed[n_places + place] != NOTHING)
                fetch(items, listed[n_places + place]);
        const float length = users->length[user];
        for (int64_t j = 0; j < n; j++)
            reach[j] = weight[j] * (items->spans[2 * bought[j]] + length * items->spans[2 * bought[j] + 1]);
        for (int64_t d = 0; d < n_dims; d++) {
            whole[d] = own[d] * (items->shared[d] + strength);
            scale[d] = 1 / (items->shared[d] + strength);
        }
        const float *told[ROWS] = {whole, users->prior + user * n_dims, items->pull};
        for (int64_t place = 0; place < n_places;) {
            place = lay(items, users, user, scale, place, &panel);
            if (panel.n == 1)
                break;
            Lanes sums[ROWS][VECTORS];
            multiply(told, panel.rows, n_dims, sums);
            begin(&panel, n_dims);
            find_best(items, bought, weight, reach, which, n, &panel);
            for (int64_t c = 1; c < panel.n; c++) {
                float *part = parts + user * 3 * n_places + panel.places[c];
                const float features = strength * sums[1][c / WIDTH][c % WIDTH], base = sums[2][c / WIDTH][c % WIDTH];
                part[0] = sums[0][c / WIDTH][c % WIDTH] - features - base;
                part[n_places] = features;
                part[2 * n_places] = base;
                named[user * n_places + panel.places[c]] = panel.purchase[c / WIDTH][c % WIDTH];
            }
        }
    }
}
