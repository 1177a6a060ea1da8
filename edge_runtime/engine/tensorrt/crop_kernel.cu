/* Cut people out of a frame and resize them to a network's input, one thread per pixel of a crop.
 *
 * The rule is that of contract/preprocess.py: bilinear, half-pixel centres, no antialiasing, RGB. OpenCV's weights have
 * 11 bits and these have 24, so a pixel may differ by one grey level.
 *
 * boxes: four ints each, left, top, right, bottom in whole pixels inside the frame.
 * crops: (count, height, width, 3) uint8. blockIdx.z counts the crops.
 */

struct Sample {
    int low, high; /* the two neighbours */
    float share;   /* of the higher one */
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

/* frame: (rows, pitch) bytes, three per pixel. */
__global__ void crop_rgb(const unsigned char *frame, int pitch, const int *boxes, unsigned char *crops, int height,
                         int width)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height)
        return;
    const int *box = boxes + 4 * blockIdx.z;
    struct Sample column = sample_at(x, width, box[0], box[2] - box[0]);
    struct Sample row = sample_at(y, height, box[1], box[3] - box[1]);
    const unsigned char *above = frame + (long)row.low * pitch, *below = frame + (long)row.high * pitch;
    unsigned char *pixel = crops + (((long)blockIdx.z * height + y) * width + x) * 3;
    for (int channel = 0; channel < 3; channel++) {
        int left = 3 * column.low + channel, right = 3 * column.high + channel;
        pixel[channel] = 0.5f + between(between(above[left], above[right], column.share),
                                        between(below[left], below[right], column.share), row.share);
    }
}

/* One pixel of NV12 as RGB, not rounded. matrix: factors of red by V, green by U and V, blue by U, for video range. */
__device__ void nv12_pixel(const unsigned char *luma, const unsigned char *chroma, int pitch, int x, int y,
                           const float *matrix, float *rgb)
{
    const unsigned char *pair = chroma + (long)(y / 2) * pitch + x / 2 * 2;
    float light = 255.0f / 219.0f * (luma[(long)y * pitch + x] - 16), u = pair[0] - 128.0f, v = pair[1] - 128.0f;
    rgb[0] = in_range(light + matrix[0] * v);
    rgb[1] = in_range(light - matrix[1] * u - matrix[2] * v);
    rgb[2] = in_range(light + matrix[3] * u);
}

/* luma: (rows, pitch) bytes, one per pixel. chroma: (rows / 2, pitch) bytes, U and V of each 2 x 2 pixels. */
__global__ void crop_nv12(const unsigned char *luma, const unsigned char *chroma, int pitch, const float *matrix,
                          const int *boxes, unsigned char *crops, int height, int width)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height)
        return;
    const int *box = boxes + 4 * blockIdx.z;
    struct Sample column = sample_at(x, width, box[0], box[2] - box[0]);
    struct Sample row = sample_at(y, height, box[1], box[3] - box[1]);
    float above_left[3], above_right[3], below_left[3], below_right[3];
    nv12_pixel(luma, chroma, pitch, column.low, row.low, matrix, above_left);
    nv12_pixel(luma, chroma, pitch, column.high, row.low, matrix, above_right);
    nv12_pixel(luma, chroma, pitch, column.low, row.high, matrix, below_left);
    nv12_pixel(luma, chroma, pitch, column.high, row.high, matrix, below_right);
    unsigned char *pixel = crops + (((long)blockIdx.z * height + y) * width + x) * 3;
    for (int channel = 0; channel < 3; channel++)
        pixel[channel] = 0.5f + between(between(above_left[channel], above_right[channel], column.share),
                                        between(below_left[channel], below_right[channel], column.share), row.share);
}
