/* What the GPU does with frames: cut people out, fit whole frames into a detector's input, measure sharpness.
 *
 * The rules are those of contract/preprocess.py, contract/nv12.py, contract/sharpness.py and people/input_fit.py:
 * bilinear, half-pixel centres, no antialiasing. OpenCV's weights have 11 bits and these have 24, so a resized number
 * may differ by one.
 *
 * frame_kernels.ptx is this file as the driver takes it; `make kernels` writes it again.
 */

#define CHANNELS 3

struct Sample {
    int low, high; /* the two neighbours */
    float share;   /* of the higher one */
};

/* A frame as it lies in the GPU's memory. For RGB, chroma is not used and rows of luma hold three bytes per pixel.
 * factors: 3 rows R, G, B of 4 columns Y, U, V, constant. Pitches: bytes from one row to the next. */
struct Frame {
    const unsigned char *luma, *chroma;
    float factors[12];
    int luma_pitch, chroma_pitch, height, width;
};

/* Where and how a frame lies in a detector's input. size: rows and columns of the frame inside. source: which channel of
 * RGB each plane holds. A plane is value * scale + shift, and grey * scale + shift beside the frame. */
struct Placement {
    int top, left, size[2], source[3], is_nv12;
    float scale[3], shift[3], grey;
};

/* Where an output pixel falls between two input pixels of a stretch of `size` pixels from `start` on. */
__device__ struct Sample sample_at(int position, int count, int start, int size)
{
    struct Sample sample;
    float centre = (position + 0.5f) * size / count - 0.5f;
    int low = (int)floorf(centre);
    sample.share = centre - low;
    sample.low = start + min(max(low, 0), size - 1);
    sample.high = start + min(max(low + 1, 0), size - 1);
    return sample;
}

__device__ float in_range(float value)
{
    return fminf(fmaxf(value, 0.0f), 255.0f);
}

__device__ float between(float low, float high, float share)
{
    return low + (high - low) * share;
}

/* One number between four bytes. step: bytes from one column to the next. */
__device__ float resized(const unsigned char *plane, int pitch, int step, struct Sample row, struct Sample column)
{
    const unsigned char *above = plane + (long long)row.low * pitch, *below = plane + (long long)row.high * pitch;
    int left = step * column.low, right = step * column.high;
    return between(between(above[left], above[right], column.share), between(below[left], below[right], column.share),
                   row.share);
}

/* Y, U and V as R, G and B. */
__device__ void as_rgb(float light, float u, float v, const float *factors, float *rgb)
{
    for (int channel = 0; channel < CHANNELS; channel++) {
        const float *row = factors + 4 * channel;
        rgb[channel] = in_range(row[0] * light + row[1] * u + row[2] * v + row[3]);
    }
}

/* One pixel of NV12; a pair of chroma counts for its 2 x 2 pixels. */
__device__ void nv12_pixel(const struct Frame *frame, int x, int y, float *rgb)
{
    const unsigned char *pair = frame->chroma + (long long)(y / 2) * frame->chroma_pitch + x / 2 * 2;
    as_rgb(frame->luma[(long long)y * frame->luma_pitch + x], pair[0], pair[1], frame->factors, rgb);
}

/* boxes: four ints each, left, top, right, bottom in whole pixels inside the frame, which is RGB.
 * crops: (count, height, width, 3) bytes. One thread per pixel of a crop; blockIdx.z counts the crops. */
extern "C" __global__ void crop_rgb(const struct Frame *frame, const int *boxes, unsigned char *crops, int height,
                                    int width)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height)
        return;
    const int *box = boxes + 4 * blockIdx.z;
    struct Sample column = sample_at(x, width, box[0], box[2] - box[0]);
    struct Sample row = sample_at(y, height, box[1], box[3] - box[1]);
    unsigned char *pixel = crops + (((long long)blockIdx.z * height + y) * width + x) * CHANNELS;
    for (int channel = 0; channel < CHANNELS; channel++)
        pixel[channel] = 0.5f + resized(frame->luma + channel, frame->luma_pitch, CHANNELS, row, column);
}

/* The same for a frame in NV12: its pixels are converted first, as on the CPU. */
extern "C" __global__ void crop_nv12(const struct Frame *frame, const int *boxes, unsigned char *crops, int height,
                                     int width)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height)
        return;
    const int *box = boxes + 4 * blockIdx.z;
    struct Sample column = sample_at(x, width, box[0], box[2] - box[0]);
    struct Sample row = sample_at(y, height, box[1], box[3] - box[1]);
    float above_left[CHANNELS], above_right[CHANNELS], below_left[CHANNELS], below_right[CHANNELS];
    nv12_pixel(frame, column.low, row.low, above_left);
    nv12_pixel(frame, column.high, row.low, above_right);
    nv12_pixel(frame, column.low, row.high, below_left);
    nv12_pixel(frame, column.high, row.high, below_right);
    unsigned char *pixel = crops + (((long long)blockIdx.z * height + y) * width + x) * CHANNELS;
    for (int channel = 0; channel < CHANNELS; channel++)
        pixel[channel] = 0.5f + between(between(above_left[channel], above_right[channel], column.share),
                                        between(below_left[channel], below_right[channel], column.share), row.share);
}

/* Fit frames of any size into the inputs of a detector. frames, placements: one per camera; blockIdx.z counts them.
 * inputs: (count, 3, height, width) floats. NV12 is resized before it is converted, as on the CPU, each to whole bytes.
 * One thread per pixel of an input. */
extern "C" __global__ void letterbox(const struct Frame *frames, const struct Placement *placements, float *inputs,
                                     int height, int width)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height)
        return;
    const struct Frame *frame = frames + blockIdx.z;
    const struct Placement *place = placements + blockIdx.z;
    int row_inside = y - place->top, column_inside = x - place->left, rows = place->size[0], columns = place->size[1];
    int is_inside = row_inside >= 0 && row_inside < rows && column_inside >= 0 && column_inside < columns;
    float rgb[CHANNELS] = {place->grey, place->grey, place->grey};
    if (is_inside) {
        struct Sample row = sample_at(row_inside, rows, 0, frame->height);
        struct Sample column = sample_at(column_inside, columns, 0, frame->width);
        if (place->is_nv12) {
            struct Sample half_row = sample_at(row_inside, rows, 0, (frame->height + 1) / 2);
            struct Sample half_column = sample_at(column_inside, columns, 0, (frame->width + 1) / 2);
            float light = floorf(0.5f + resized(frame->luma, frame->luma_pitch, 1, row, column));
            float u = floorf(0.5f + resized(frame->chroma, frame->chroma_pitch, 2, half_row, half_column));
            float v = floorf(0.5f + resized(frame->chroma + 1, frame->chroma_pitch, 2, half_row, half_column));
            as_rgb(light, u, v, frame->factors, rgb);
        } else {
            for (int channel = 0; channel < CHANNELS; channel++)
                rgb[channel] = resized(frame->luma + channel, frame->luma_pitch, CHANNELS, row, column);
        }
        for (int channel = 0; channel < CHANNELS; channel++)
            rgb[channel] = floorf(0.5f + rgb[channel]);
    }
    float *pixel = inputs + ((long long)blockIdx.z * CHANNELS * height + y) * width + x;
    for (int plane = 0; plane < CHANNELS; plane++) {
        int channel = place->source[plane];
        pixel[(long long)plane * height * width] = rgb[channel] * place->scale[channel] + place->shift[channel];
    }
}

/* Grey as OpenCV has it, in whole numbers of 15 bits. */
__device__ int grey_at(const unsigned char *crop, int width, int x, int y)
{
    const unsigned char *pixel = crop + ((long long)y * width + x) * CHANNELS;
    return (9798 * pixel[0] + 19235 * pixel[1] + 3735 * pixel[2] + (1 << 14)) >> 15;
}

/* The neighbour beyond an edge is the one on the other side. */
__device__ int mirrored(int position, int size)
{
    if (size == 1)
        return 0;
    return position < 0 ? 1 : position >= size ? size - 2 : position;
}

/* Sum and sum of squares of the Laplacian over each row of crops (count, height, width, 3): sums (count, height, 2).
 * Variance, the sharpness, follows from them exactly. One thread per row; blockIdx.y counts the crops. */
extern "C" __global__ void sharpness_sums(const unsigned char *crops, long long *sums, int height, int width)
{
    int y = blockIdx.x * blockDim.x + threadIdx.x;
    if (y >= height)
        return;
    const unsigned char *crop = crops + (long long)blockIdx.y * height * width * CHANNELS;
    int above = mirrored(y - 1, height), below = mirrored(y + 1, height);
    long long sum = 0, squares = 0;
    for (int x = 0; x < width; x++) {
        int around = grey_at(crop, width, x, above) + grey_at(crop, width, x, below) +
                     grey_at(crop, width, mirrored(x - 1, width), y) + grey_at(crop, width, mirrored(x + 1, width), y);
        int edge = around - 4 * grey_at(crop, width, x, y);
        sum += edge;
        squares += edge * edge;
    }
    long long *row = sums + ((long long)blockIdx.y * height + y) * 2;
    row[0] = sum;
    row[1] = squares;
}
